"""Decisions as pure functions: no I/O, no Twisted; the time is a parameter."""
