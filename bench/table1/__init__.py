"""Table I of the source, measured: seven baselines beside our networks, in quality, size and speed."""
