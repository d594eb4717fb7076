"""Store in the memory of this process."""
