"""TensorRT plans on the GPU: checks, library, one lane per session."""
