"""The TensorRT backend: checks ``.plan`` files and runs them on the GPU, both flavours."""
