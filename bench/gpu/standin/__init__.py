"""A stand-in for TensorRT, so that the CUDA layer runs where TensorRT is not installed.

It has the part of TensorRT's interface that mostnet uses. A plan holds a checkpoint, whose network runs in PyTorch on
the stream that the engine gives, or it names a toy network. It may add a kernel of a chosen duration. Without a GPU the
stand-in runs on ``mostnet.bench.gpu.miniature``. It proves the runtime, and says nothing of TensorRT's speed or
accuracy::

    python -m mostnet.bench.gpu.standin.build CASES/NAME        # writes CASES/NAME/case-standin.plan

    from mostnet.bench.gpu.standin.install import install
    install()                                                   # before the engine opens the plan
"""
