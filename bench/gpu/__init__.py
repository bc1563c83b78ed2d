"""The GPU report: the engine compared with the bare enqueue loop, PyTorch and ONNX Runtime."""
