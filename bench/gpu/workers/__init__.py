"""The workers of the GPU report, each a process with the libraries of its part."""
