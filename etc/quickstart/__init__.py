"""The tour of a fresh clone: an engine, the session image, the daemon, a session with a web application in it."""
