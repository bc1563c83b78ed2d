"""What several tests of videos share."""

from __future__ import annotations

import pytest

from ..toy_graph import save_toy
from .samples import moving_frames, write_with_av


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[str, str]:
    """(engine, video of 20 frames)."""
    folder = tmp_path_factory.mktemp("cli")
    return str(save_toy(folder / "toy.onnx")), str(write_with_av(folder / "clip.mp4", moving_frames(20)))
