"""Streams: a thread reads the source and submits frames, the consumer's thread takes the results."""
