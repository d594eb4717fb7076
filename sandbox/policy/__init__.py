"""Pure decisions: no I/O, no Twisted; the time is passed in."""
