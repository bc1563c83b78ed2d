"""Synthetic intra-oral sequences with exact labels: ``mostnet-synth``."""

from .sequence import SynthOptions, SynthSequence, make_sequence

__all__ = ["SynthOptions", "SynthSequence", "make_sequence"]
