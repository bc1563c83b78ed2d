"""How often the status says that teeth are seen, on an engine of known masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mostnet.bench.steady import teeth_seen
from mostnet.bench.steady.moved import MovedClip
from mostnet.bench.steady.recordings import drawn_still, drawn_ways, moved
from mostnet.bench.steady.teeth_seen import cartoon, seen
from mostnet.engine import Output

from ...video.samples import FakeEngine

SIZE_HW = (120, 160)


class MaskEngine(FakeEngine):
    """Gives zero flow and these masks."""

    def __init__(self, masks: list[np.ndarray]) -> None:
        super().__init__(SIZE_HW)
        self._masks = masks

    def _output(self, k: int, frame: np.ndarray, timestamp: object) -> Output:
        return Output(frame, np.zeros((2, *SIZE_HW), np.float32), self._masks[k], True, k, timestamp, 1.0)


@pytest.fixture(scope="module")
def clip() -> MovedClip:
    return moved(drawn_still(), drawn_ways(frames=16)[0], size_hw=SIZE_HW)


@pytest.mark.parametrize(
    ("mask_of", "by_status"),
    [(lambda mask: mask, 1), (lambda mask: mask // 8 * 5, 0)],
    ids=["sure", "unsure"],
)
def test_a_guess_of_a_plausible_size_is_no_tooth(
    clip: MovedClip, mask_of: Callable[[np.ndarray], np.ndarray], by_status: float
) -> None:
    found = seen("drawn", clip.frames, MaskEngine([mask_of(mask) for mask in clip.masks]))
    assert found.by_size > 0.8
    assert found.by_status == pytest.approx(by_status * found.by_size)


def test_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened(MaskEngine):
        def __init__(self, path: object) -> None:
            super().__init__([np.zeros(SIZE_HW, np.uint8)] * 5)

        def __enter__(self) -> Opened:
            return self

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(teeth_seen, "Engine", Opened)
    monkeypatch.setattr(teeth_seen, "_SCENES", 2)
    assert teeth_seen.main(["--engine", "x.onnx", "--frames", "5"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "drawn animation" in line)
    assert [cell.strip() for cell in row.strip("│|").split("│")] == ["drawn animation", "2", "0.00", "0.00"]


def test_a_cartoon_is_drawn_anew_by_its_number() -> None:
    one, same, other = cartoon(3), cartoon(3), cartoon(4)
    assert np.array_equal(one.pixels, same.pixels)
    assert not np.array_equal(one.pixels, other.pixels)
    assert not one.pixels[..., 3].any()
