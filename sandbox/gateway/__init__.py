"""The public preview gateway: reverse proxy from browsers to the applications in containers."""
