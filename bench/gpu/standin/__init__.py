"""A stand-in for TensorRT, so that the CUDA layer runs where TensorRT is not installed.

It has the part of TensorRT's interface that mostnet uses. Its plans hold a checkpoint, whose network runs in PyTorch on
the stream that the engine gives; or they name a toy network, or add a kernel of a chosen duration. Without a GPU it
runs on ``mostnet.bench.gpu.miniature``. It proves the runtime, and says nothing of TensorRT's speed or accuracy::

    python -m mostnet.bench.gpu.standin.build CASES/NAME        # writes CASES/NAME/case-standin.plan

    from mostnet.bench.gpu.standin.install import install
    install()                                                   # before the engine opens the plan
"""
