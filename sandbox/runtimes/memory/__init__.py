"""In-memory implementation of the runtime, for tests and experiments."""
