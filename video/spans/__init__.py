"""A part of a video file: its frames, and the times of all frames without decoding them."""
