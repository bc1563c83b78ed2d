"""The skew of a rolling shutter: find it, and undo it while warping."""
