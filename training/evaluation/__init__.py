"""A model measured on the split of a dataset: ``mostnet-eval``, tables and model cards."""
