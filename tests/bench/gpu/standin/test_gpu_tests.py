"""The tests of a real GPU run on the miniature GPU, with the stand-in, so that they cannot rot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

ROOT = Path(__file__).parents[4]

#: Modules with tests that need the real TensorRT, or CUDA in PyTorch or ONNX Runtime, and how many such tests each has.
SKIPPED = {
    "test_training_on_gpu": 2,
    "test_layers_on_gpu": 2,
    "test_one_warp_plan": 2,
    "test_onnx_on_gpu": 5,
    "test_buffers_on_gpu": 1,
}

#: At least this many other tests run.
LEAST = 39

BUILD = ("-m", "mostnet.bench.gpu.standin.build", "--miniature")


def python(*arguments: str, **variables: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_gpu_tests(case: Path, *options: str, frames: int) -> tuple[int, Counter[str]]:
    """Run them with ``options`` of pytest; returns how many passed, and how many were skipped in each module."""
    report = case / "report.xml"
    python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "tests/gpu", *options),
        MOSTNET_STANDIN="miniature",
        MOSTNET_GPU_CASE=str(case),
        MOSTNET_GPU_FRAMES=str(frames),
        MOSTNET_REQUIRE_GPU="1",
    )
    tests = list(ElementTree.parse(report).iter("testcase"))
    skipped = Counter(test.attrib["classname"].split(".")[-1] for test in tests if test.find("skipped") is not None)
    return len(tests) - skipped.total(), skipped


def test_the_gpu_tests_pass_with_the_toy_network(tmp_path: Path) -> None:
    case = tmp_path / "toy"
    python(*BUILD, "--toy-case", str(case))
    passed, skipped = run_gpu_tests(case, frames=200)
    assert skipped == SKIPPED
    assert passed >= LEAST


def test_a_case_with_too_few_frames_is_refused(tmp_path: Path) -> None:
    case = tmp_path / "toy"
    python(*BUILD, "--toy-case", str(case))
    np.save(case / "frames.npy", np.load(case / "frames.npy")[:8])
    with pytest.raises(AssertionError, match="toy has 8 frames; the tests need 12: run python -m "):
        run_gpu_tests(case, "-k", "test_frames_of_the_device", frames=20)


@pytest.mark.slow
def test_the_gpu_tests_pass_with_a_network(folder: Path, tmp_path: Path) -> None:
    """A part of them: ``nano`` in half precision, in PyTorch on the processor."""
    case = Path(shutil.copytree(folder, tmp_path / "nano"))
    python(*BUILD, str(case))
    passed, _ = run_gpu_tests(case, "-k", "bounds or stream_is_infer or state or graphs or lost or forked", frames=20)
    assert passed >= 9
