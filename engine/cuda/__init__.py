"""The CUDA layer: context, memory, streams, graphs, and arrays that other libraries can read."""
