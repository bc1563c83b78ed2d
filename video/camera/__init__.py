"""A live camera through an engine."""
