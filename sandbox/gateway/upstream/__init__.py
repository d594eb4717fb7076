"""Connections to applications: pool, connection, relay."""
