"""Flow labels for data sets that lack them: ``mostnet-label``."""
