"""A GPU in miniature, for machines without one. The CUDA layer runs on it through the names of its drivers."""
