"""Tests of plans on a real GPU.

The PyTorch that makes the references and the TensorRT that runs the plan may live in different Pythons, on different
machines: they meet in a folder of files.

    python -m tests.gpu.make_case DIR      # PyTorch and onnx, no GPU: graph, frames and float32 reference
    python -m tests.gpu.build_case DIR     # TensorRT on the GPU: the plan; numpy is all it needs besides
    MOSTNET_GPU_CASE=DIR MOSTNET_REQUIRE_GPU=1 python -m pytest tests/gpu
"""
