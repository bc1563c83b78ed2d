"""Training from Python: keyword options, results, interrupts, and no trace in the settings of the caller."""

from __future__ import annotations

import inspect
import logging
import os
import random
import signal
import subprocess
import sys
import typing
import warnings
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch._dynamo  # adds a variable and a warning filter when it is imported

import mostnet.training
from mostnet.contract import DatasetError, TrainingError
from mostnet.contract.shipped import checkpoint_path
from mostnet.training import (
    EvalOptions,
    PhotoOptions,
    TrainingInterrupt,
    TrainOptions,
    evaluate,
    train,
    write_moving,
    write_split,
)
from mostnet.training.cli import _help
from mostnet.training.evaluation.options import EvalKeywords
from mostnet.training.options import TrainKeywords
from mostnet.training.run_state import load_run

from .photos.drawn import drawn_photos, write_photos
from .test_trainer import StopAfter

QUICK: TrainKeywords = {
    "batch": 1,
    "clip": 2,
    "chunks": 1,
    "crop_hw": (64, 64),
    "warmup": 0,
    "threads": 1,
    "log_every": 1,
    "validate_every": 0,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("interface") / "data"
    for split in ("train", "val"):
        write_split(str(folder), split, sequences=1, frames=3, size_hw=(72, 80))
    return str(folder)


def settings() -> dict[str, Any]:
    """The settings of this process that a call could leave changed."""
    return {
        "threads": (torch.get_num_threads(), cv2.getNumThreads()),
        "random numbers": (torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "warnings": list(warnings.filters),
        "logging": [(name, list(logging.getLogger(name).handlers)) for name in ("", "mostnet", "mostnet.training")],
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "streams": (sys.stdout, sys.stderr),
        "torch": (torch.is_grad_enabled(), torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()),
        "tf32": torch.backends.cudnn.allow_tf32,
    }


@pytest.fixture
def unusual_threads() -> Any:
    """Numbers of threads that no call chooses by itself."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(3)
    cv2.setNumThreads(97)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.mark.usefixtures("unusual_threads")
def test_from_data_to_figures_without_a_trace_in_the_settings(data: str, tmp_path: Path) -> None:
    warm = settings()
    lines: list[str] = []
    run = train(data, str(tmp_path / "run"), init="nano", report=lines.append, steps=2, **QUICK)
    assert settings() == warm
    assert (run.steps, run.model, run.best, run.validation) == (2, tmp_path / "run/model.pt", None, {})
    assert lines[-1] == f"done: 2 steps, {run.minutes:.1f} minutes; {run.model}"
    with pytest.raises(FrozenInstanceError):
        run.steps = 3  # type: ignore[misc]
    result = evaluate(run.model, data, split="val", frames=2, device="cpu", threads=1, out=str(tmp_path / "figures"))
    assert settings() == warm
    assert result.frames == 2 and result.fps > 0
    assert set(result.files) == set((tmp_path / "figures").iterdir())
    assert result.figures == {**result.report.figures}
    baseline, model = result.figures["baseline"], result.figures["model"]
    assert model["psnr_db"] != baseline["psnr_db"] and 0 <= (model["iou"] or -1) <= 1
    assert "report" not in repr(result), "the scores of all frames would fill a notebook"
    photos = write_photos(tmp_path / "photos", drawn_photos(1), suffix=".png")
    options = PhotoOptions(frames=2, size_hw=(64, 96))
    assert write_moving(str(tmp_path / "moving"), "train", str(photos), options, sequences=1).is_dir()
    assert settings() == warm


def test_a_failed_call_leaves_no_trace_either(data: str, tmp_path: Path) -> None:
    before = settings()
    with pytest.raises(DatasetError, match="3 frames, but a training window takes 9"):
        train(data, tmp_path / "run", steps=1, **{**QUICK, "clip": 9})
    assert settings() == before


def test_an_interrupt_saves_the_run_and_then_stops_the_caller(data: str, tmp_path: Path) -> None:
    before = settings()
    stop = StopAfter("step 2 ", signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(data, tmp_path / "run", report=stop, steps=4, **QUICK)
    assert isinstance(caught.value, TrainingInterrupt) and caught.value.steps == 2
    assert stop.lines[-1] == "stopped by SIGINT after step 2; continue with --resume (Python: resume=True)"
    assert str(caught.value) == "SIGINT after step 2, and the run is saved; continue with resume=True"
    assert settings() == before
    assert load_run(tmp_path / "run/last.pt")[0].step == 2
    resumed = train(data, tmp_path / "run", resume=True)  # with the options of the run
    assert resumed.steps == 4


def test_keywords_replace_options_and_are_checked(data: str, tmp_path: Path) -> None:
    run = train(data, tmp_path / "run", options=TrainOptions(steps=7, seed=5), steps=1, **QUICK)
    options = load_run(run.model.with_name("last.pt"))[1]
    assert (options.steps, options.seed, options.clip) == (1, 5, 2)
    with pytest.raises(TrainingError, match=r"train: unknown option 'step'; did you mean steps\?"):
        train(data, tmp_path / "other", step=1)  # type: ignore[call-arg]
    with pytest.raises(TrainingError, match="train: variant is 'huge'; expected one of"):
        train(data, tmp_path / "other", variant="huge")
    assert not (tmp_path / "other").exists()
    with pytest.raises(ValueError, match="device is 'gpu'; expected one of auto, cpu, cuda"):
        evaluate("nano", data, device="gpu")
    with pytest.raises(ValueError, match="split is 'validation'; expected one of train, val, test"):
        evaluate("nano", data, split="validation")


def test_the_name_of_a_shipped_checkpoint_is_as_good_as_its_path(data: str) -> None:
    by_name, by_path = (
        evaluate(model, data, split="val", frames=1, device="cpu", threads=1).figures
        for model in ("nano", checkpoint_path("nano"))
    )
    assert by_name == by_path


@pytest.mark.parametrize(("keywords", "options"), [(TrainKeywords, TrainOptions), (EvalKeywords, EvalOptions)])
def test_type_checkers_know_every_option(keywords: type, options: type) -> None:
    assert typing.get_type_hints(keywords) == typing.get_type_hints(options)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, mostnet.training; print([n for n in ('torch', 'cv2', 'matplotlib', 'rich') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_pytorch_data_can_be_drawn_and_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["torch"] = None
from mostnet.training import EvalOptions, SynthOptions, TrainOptions, write_split
try:
    from mostnet.training import train
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "PyTorch is not installed; pip install 'mostnet[train]'"


def test_every_public_name_is_there() -> None:
    assert all(getattr(mostnet.training, name) is not None for name in mostnet.training.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = mostnet.training.trian  # type: ignore[attr-defined]


@pytest.mark.parametrize("clean", [str, inspect.cleandoc])  # as Python 3.13 does
def test_every_option_of_the_command_has_a_help_text(
    monkeypatch: pytest.MonkeyPatch, clean: Callable[[str], str]
) -> None:
    assert TrainOptions.__doc__
    monkeypatch.setattr(TrainOptions, "__doc__", clean(TrainOptions.__doc__))
    found = _help()
    assert list(found) == [field.name for field in fields(TrainOptions)]
    assert found["warmup"].startswith("steps over which the learning rate rises")
    assert found["warmup"].endswith("and over a quarter of max_minutes at most")
