"""The sound of a video file: read beside its pictures, and written beside the results."""
