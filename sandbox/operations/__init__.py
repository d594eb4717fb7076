"""Use cases, one a module: gather the facts, decide by a policy, act."""
