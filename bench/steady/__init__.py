"""The stabiliser compared with other methods, on known camera paths."""
