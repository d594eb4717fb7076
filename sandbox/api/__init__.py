"""The internal REST API."""
