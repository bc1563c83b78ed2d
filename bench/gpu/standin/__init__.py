"""A stand-in for TensorRT, so that the CUDA layer runs where TensorRT is not installed."""
