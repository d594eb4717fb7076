"""``doctor``: checks that this machine can run the daemon, and suggests fixes.

Unlike the rest of the command it uses the daemon's settings and rules for networks. It checks engine, database and port
directly, so that it works while the daemon is down.
"""
