"""Measures a model on a split of a data set: ``mostnet-eval``, tables and model cards."""
