"""SQL implementation of the aggregates, common to all dialects."""
