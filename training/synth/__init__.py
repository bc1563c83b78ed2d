"""Synthetic intra-oral sequences with exact labels: ``mostnet-synth``."""
