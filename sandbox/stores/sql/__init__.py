"""One SQL implementation of each aggregate, for every dialect."""
