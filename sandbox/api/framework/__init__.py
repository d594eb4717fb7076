"""Framework of the daemon's APIs."""
