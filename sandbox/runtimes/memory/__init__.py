"""The in-memory twin of the Docker runtime, for tests and for trying things out."""
