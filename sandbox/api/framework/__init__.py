"""What every API of the daemon is made with."""
