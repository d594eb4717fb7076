"""``doctor``: whether this machine is fit for the daemon, and what to do where it is not.

Unlike the rest of the command it knows the daemon's settings and what it makes of a network: it judges by the same
rules. It asks engine, database and port itself, so that it works while the daemon is down.
"""
