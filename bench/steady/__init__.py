"""The stabiliser beside other methods, on camera paths that are known."""
