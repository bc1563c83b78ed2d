"""The stabiliser beside other methods, on known camera paths."""
