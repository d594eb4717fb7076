"""Log formats and outputs."""
