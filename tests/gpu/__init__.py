"""Tests of the runtime on a real GPU, and the script that runs them on a machine that is lent for half an hour.

On a machine of one's own, with mostnet, TensorRT, pycuda and PyTorch installed::

    python -m mostnet.bench.gpu.prepare CASES --only nano-480x640      # graph, frames and float32 reference
    python -m mostnet.bench.gpu.build CASES/nano-480x640-fp16 CASES/warp-fp32 CASES/warp-fp16
    MOSTNET_GPU_CASE=CASES/nano-480x640-fp16 MOSTNET_REQUIRE_GPU=1 python -m pytest tests/gpu
    python -m mostnet.bench.gpu.report OUT --cases CASES                # the figures, as JSON, Markdown and a plot

The PyTorch that makes the references and the TensorRT that runs the plans may live in different Pythons: they meet in
the folder CASES, and the report takes ``--python tensorrt=PATH --python torch=PATH --python ort=PATH``.

On a machine without package registries, whose own ``python3`` has PyTorch, onnx, OpenCV and pytest. Weights are made
there from a seed; TensorRT is carried as a kit, in parts that fit into 64 MiB with this checkout. Pack the kits and the
wheels of pytest for the kit's Python 3.10 beforehand, outside the checkout (``.parts`` is ignored by git)::

    pack.py trt86 /tmp/kits/trt86; pack.py ort /tmp/kits/ort     # 17 and 5 parts; rtx has 2
    pip download --no-deps --only-binary=:all: --python-version 3.10 --implementation py --abi none --platform any \\
        -d /tmp/kits/wheels pytest pluggy iniconfig packaging pygments exceptiongroup tomli

Then one call per part with ``.parts`` carried, and as soon as possible after one another, for the machine is given back
when idle. Before call N: ``rm -rf .parts; mkdir .parts; cp -r /tmp/kits/trt86/part-N .parts/``::

    first      cp -r /tmp/kits/wheels .parts/ too, then
               python3 -m tests.gpu.run_all parts background --out $OUT
    the others python3 -m tests.gpu.run_all parts --out $OUT
    ort, if wanted, likewise with
               python3 -m tests.gpu.run_all parts --kit ort --out $OUT

``background`` prepares all cases while the parts travel. When the last part is there, without ``.parts``::

    python3 -m tests.gpu.run_all prepare build report --only dw-480x640 --out $OUT    # the goals first
    python3 -m tests.gpu.run_all tests sanitizer --out $OUT
    python3 -m tests.gpu.run_all tests --kit ort --out $OUT                            # where ort was carried
    python3 -m tests.gpu.run_all report --out $OUT                                     # the other cases, as time allows

Every call ends by itself within ``--minutes`` (9) and leaves its logs, ``gpu_report.json`` and the rendered report in
``$OUT``; the last may be repeated, it goes on where it stopped. TensorRT for RTX (``--kit rtx``, 2 parts) knows no
sm_90: try it where the GPU is of another kind. Keep the results of a proof with ``python -m mostnet.bench.gpu.report
bench/results --render gpu_report.json``.
"""
