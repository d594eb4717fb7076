"""Foundations beside Twisted: reactor, deadlines, locks, caches, cancellation, instruments."""
