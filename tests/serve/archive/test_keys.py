"""By what a result is known."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from mostnet.serve.archive import keys
from mostnet.serve.archive.keys import key_of
from mostnet.serve.archive.records import RunOptions, Span
from mostnet.video.steady.options import StabiliserOptions

OPTIONS = RunOptions()
SPANS = (Span(begin_s=Fraction(0), end_s=None, frames=9, warm_up=0),)


def test_equal_content_has_an_equal_key() -> None:
    key = key_of("a", "b", OPTIONS, ())
    assert len(key) == 64 and int(key, 16)
    assert key == key_of("a", "b", RunOptions(), [])


@pytest.mark.parametrize(
    "options",
    [
        replace(OPTIONS, layout="mask"),
        replace(OPTIONS, frames=5),
        replace(OPTIONS, fps=Fraction(30000, 1001)),
        replace(OPTIONS, flow_max_px=3.0),
        replace(OPTIONS, stabilise=StabiliserOptions()),
        replace(OPTIONS, stabilise=StabiliserOptions(steady="hold")),
        replace(OPTIONS, read_ahead=True),
        replace(OPTIONS, status=False),
    ],
)
def test_every_option_changes_the_key(options: RunOptions) -> None:
    assert key_of("a", "b", options, ()) != key_of("a", "b", OPTIONS, ())


def test_video_engine_spans_and_version_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {key_of("a", "b", OPTIONS, ()), key_of("c", "b", OPTIONS, ()), key_of("a", "c", OPTIONS, ())}
    found |= {key_of("a", "b", OPTIONS, SPANS), key_of("a", "b", OPTIONS, (replace(SPANS[0], warm_up=3),))}
    monkeypatch.setattr(keys, "mostnet_version", lambda: "9")
    found.add(key_of("a", "b", OPTIONS, ()))
    assert len(found) == 6
