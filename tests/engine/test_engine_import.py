"""An application that embeds the engine pays for nothing it does not use."""

import subprocess
import sys

_HEAVY = ("torch", "onnx", "onnxruntime", "cv2", "av", "rich", "tensorrt", "tensorrt_rtx", "pycuda")


def test_importing_loads_no_backend() -> None:
    code = f"import mostnet, mostnet.engine, sys; print([name for name in {_HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
