"""The losses: ours, those of the source of the method, and those of the networks of Table I."""
