"""Tests of the runtime on a real GPU, with the machine's own TensorRT, pycuda and ONNX Runtime.

Most of them run a prepared case::

    python -m mostnet.bench.gpu.prepare CASES --only nano-480x640      # graph, frames and float32 reference, by PyTorch
    python -m mostnet.bench.gpu.build CASES/nano-480x640-fp16 CASES/warp-fp32 CASES/warp-fp16
    MOSTNET_GPU_CASE=CASES/nano-480x640-fp16 python -m pytest tests/gpu

A test that lacks something skips and says what. With MOSTNET_REQUIRE_GPU=1 it fails instead, unless the reason is
optional. To check every kernel, with CUDA graphs and without, on few frames::

    compute-sanitizer --target-processes all python -m pytest tests/gpu -k "stream_is_infer or graphs"
"""
