"""The composition root and the daemon's lifecycle."""
