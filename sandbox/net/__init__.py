"""What every room stands on beside Twisted: reactor, deadlines, locks, caches, cancellation, instruments."""
