"""High dynamic range and wide gamuts look as after FFmpeg's zscale and tonemap; all else is read as before."""

from __future__ import annotations

import logging
from pathlib import Path

import av
import numpy as np
import pytest

from mostnet.video import VideoReader
from mostnet.video.decoding.tone import HLG, PQ, tone_of

PATCHES = [
    *((level, level, level) for level in (0.1, 0.25, 0.4, 0.5, 0.58, 0.65, 0.75)),
    *((0.5, 0.4, 0.4), (0.3, 0.45, 0.35), (0.35, 0.35, 0.5)),
]
#: RGB of the patches, BT.2020 in full range, by ffmpeg 5.1:
#: zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,tonemap=mobius:desat=0:peak=4.926,zscale=t=bt709
#: (without tonemap for the last). It maps the brightest channel; ours maps each, so bright colours are a little paler.
GOLDEN = {
    PQ: [17, 55, 119, 179, 217, 238, 255, (198, 99, 109), (0, 155, 86), (79, 89, 184)],
    HLG: [29, 72, 114, 143, 168, 190, 217, (158, 110, 114), (0, 133, 97), (96, 100, 147)],
    14: [26, 64, 102, 128, 148, 166, 191, (141, 98, 101), (0, 119, 86), (85, 89, 131)],
}


def _write(
    path: Path,
    rgb: tuple[float, float, float],
    *,
    transfer: int,
    primaries: int,
    matrix: int,
    pixels: str = "yuv420p10le",
    codec: str = "libx264",
) -> Path:
    """Three frames of one colour in the non-linear RGB of the given H.273 codes."""
    kr, kb = {9: (0.2627, 0.0593), 1: (0.2126, 0.0722)}[matrix]
    luma = kr * rgb[0] + kb * rgb[2] + (1 - kr - kb) * rgb[1]
    chroma = (rgb[2] - luma) / (2 - 2 * kb), (rgb[0] - luma) / (2 - 2 * kr)
    scale = 4 if "10" in pixels else 1
    levels = [round(scale * (16 + 219 * luma)), *(round(scale * (128 + 224 * part)) for part in chroma)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 64, pixels
        stream.options = {"qp": "0"}
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = (
            *(transfer, primaries, matrix),
            1,
        )
        for k in range(3):
            picture = av.VideoFrame(64, 64, pixels)
            for plane, level in zip(picture.planes, levels, strict=True):
                kind = np.dtype("<u2" if scale == 4 else "u1")
                plane.update(np.full(plane.buffer_size // kind.itemsize, level, kind).tobytes())
            picture.pts = k
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def _centre(path: Path) -> list[int]:
    with VideoReader(path) as reader:
        return [int(level) for level in next(iter(reader))[32, 32, ::-1]]


def _lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("transfer", GOLDEN)
@pytest.mark.parametrize(("k", "patch"), list(enumerate(PATCHES)))
def test_patches_look_as_after_zscale_and_tonemap(tmp_path, transfer, k, patch):
    path = _write(tmp_path / "v.mp4", patch, transfer=transfer, primaries=9, matrix=9)
    wanted = np.broadcast_to(GOLDEN[transfer][k], 3)
    assert _centre(path) == pytest.approx(wanted, abs=10 if transfer == PQ and k > 6 else 3)


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "PQ"), (HLG, "HLG")])
def test_tone_mapping_is_said_once(tmp_path, caplog, transfer, name):
    path = _write(tmp_path / "v.mp4", (0.5, 0.5, 0.5), transfer=transfer, primaries=9, matrix=9)
    with VideoReader(path) as reader:
        assert len(list(reader)) == 3
    assert _lines(caplog) == [
        f"{path}: high dynamic range ({name}) is tone-mapped to standard range, so highlights look flatter than on an "
        "HDR screen"
    ]


@pytest.mark.parametrize("transfer", [1, 2, 6])
@pytest.mark.parametrize("primaries", [1, 2, 5, 6])
def test_standard_range_of_ten_bits_is_read_as_before(tmp_path, caplog, transfer, primaries):
    assert tone_of(transfer, primaries) is None
    path = _write(tmp_path / "v.mp4", (0.8, 0.4, 0.2), transfer=transfer, primaries=primaries, matrix=1)
    assert _centre(path) == pytest.approx([204, 102, 51], abs=2)
    assert _lines(caplog) == []


def test_a_wide_gamut_of_eight_bits(tmp_path, caplog):
    """Display P3: its red is redder than BT.709's, its greys are the same."""
    options = {"transfer": 1, "primaries": 12, "matrix": 1, "pixels": "yuv420p"}
    grey = _centre(_write(tmp_path / "g.mp4", (0.5, 0.5, 0.5), **options))
    assert grey == pytest.approx([128, 128, 128], abs=2)
    red, green, _ = _centre(_write(tmp_path / "r.mp4", (0.7, 0.4, 0.4), **options))
    assert red > 181 and green < 99
    assert _lines(caplog) == []


def test_white_stays_white_and_black_black():
    for transfer, primaries in ((PQ, 9), (HLG, 9), (1, 9), (1, 11), (1, 12), (PQ, 1)):
        tone = tone_of(transfer, primaries)
        ends = tone.apply(np.array([[[0] * 3, [65535] * 3]], np.uint16))
        assert ends.tolist() == [[[0] * 3, [255] * 3]]
