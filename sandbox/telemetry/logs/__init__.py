"""The log's formats and outputs."""
