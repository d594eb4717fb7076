"""The public side: what carries browsers to applications in containers."""
