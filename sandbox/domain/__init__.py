"""The domain's values, ids and errors; they know no I/O."""
