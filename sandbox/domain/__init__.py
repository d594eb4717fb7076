"""Domain values, ids, events and errors, without any I/O."""
