"""Store in one SQLite file."""
