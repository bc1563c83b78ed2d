"""The tests of a real GPU run on the miniature GPU, with the stand-in and its toy network, so that they cannot rot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[4]

#: What needs the real TensorRT, or CUDA in PyTorch or ONNX Runtime; and how many tests that is.
SKIPPED = {"test_layers_on_gpu": 2, "test_one_warp_plan": 2, "test_onnx_on_gpu": 5, "test_buffers_on_gpu": 1}

#: The least number of the others.
LEAST = 35


def python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200
    )


def test_the_gpu_tests_pass_on_the_miniature_gpu(tmp_path: Path) -> None:
    case, report = tmp_path / "toy", tmp_path / "report.xml"
    built = python("-m", "mostnet.bench.gpu.standin.build", "--miniature", "--toy-case", str(case))
    assert built.returncode == 0, built.stderr
    done = python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "tests/gpu"),
        MOSTNET_STANDIN="miniature",
        MOSTNET_GPU_CASE=str(case),
        MOSTNET_GPU_FRAMES="200",
        MOSTNET_REQUIRE_GPU="1",
    )
    assert done.returncode == 0, done.stdout
    tests = list(ElementTree.parse(report).iter("testcase"))
    skipped = Counter(test.attrib["classname"].split(".")[-1] for test in tests if test.find("skipped") is not None)
    assert skipped == SKIPPED
    assert len(tests) - skipped.total() >= LEAST
