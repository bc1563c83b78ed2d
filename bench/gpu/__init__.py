"""The GPU report: the engine beside the bare enqueue loop, PyTorch and ONNX Runtime."""
