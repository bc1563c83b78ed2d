"""The GPU report: our engine beside the bare enqueue loop, PyTorch and ONNX Runtime."""
