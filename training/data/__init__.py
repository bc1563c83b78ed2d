"""Data sets on disk, and the augmented clips that training takes from them."""
