"""Cameras on a Triton server: the client, and a server that needs no GPU."""
