"""The database of a platform, of which only owners are read."""
