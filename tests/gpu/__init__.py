"""Tests of the runtime on a real GPU, with the machine's own TensorRT, pycuda and ONNX Runtime.

Most of them run a prepared case::

    python -m mostnet.bench.gpu.prepare CASES --only nano-480x640      # graph, frames and float32 reference, by PyTorch
    python -m mostnet.bench.gpu.build CASES/nano-480x640-fp16 CASES/warp-fp32 CASES/warp-fp16
    MOSTNET_GPU_CASE=CASES/nano-480x640-fp16 python -m pytest tests/gpu

Without TensorRT, a stand-in runs the same network in PyTorch. With it the tests need a GPU, PyTorch with CUDA, pycuda
and, for graphs, cuda-bindings. They prove the CUDA layer: context, streams, events, pinned memory, graphs, arrays in
both directions, faults and memory. They prove nothing about TensorRT::

    python -m mostnet.bench.gpu.prepare CASES --only nano-480x640
    python -m mostnet.bench.gpu.standin.build CASES/nano-480x640-fp16
    MOSTNET_GPU_CASE=CASES/nano-480x640-fp16 MOSTNET_STANDIN=gpu MOSTNET_REQUIRE_GPU=1 python -m pytest tests/gpu

A toy network needs no prepared case, and its states show in its outputs. It tells a fault of the state from one of
the arithmetic::

    python -m mostnet.bench.gpu.standin.build --toy-case CASES/toy
    MOSTNET_GPU_CASE=CASES/toy MOSTNET_STANDIN=gpu python -m pytest tests/gpu

On a machine without a GPU, the miniature GPU runs the same tests. The normal suite does so with the toy network::

    python -m mostnet.bench.gpu.standin.build --miniature --toy-case CASES/toy
    MOSTNET_GPU_CASE=CASES/toy MOSTNET_STANDIN=miniature python -m pytest tests/gpu

A test that lacks something skips and says what. With MOSTNET_REQUIRE_GPU=1 it fails instead, unless the reason is
optional. MOSTNET_GPU_FRAMES is the number of frames in the tests of memory. To check every kernel, with CUDA graphs and
without, on few frames::

    compute-sanitizer --target-processes all python -m pytest tests/gpu -k "stream_is_infer or graphs"
"""
