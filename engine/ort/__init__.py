"""The ONNX Runtime backend: runs ``.onnx`` files on the CPU or on CUDA."""
