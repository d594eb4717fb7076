"""The daemon between an AI platform and the Docker containers its users' code runs in."""

__version__ = "0.1.0"
