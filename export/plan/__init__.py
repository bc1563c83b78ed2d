"""TensorRT plans of exported graphs. Building one needs neither PyTorch nor onnx."""
