"""Bring high dynamic range and wide colour gamuts to what a usual screen shows (BT.709, standard range)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame

Table = npt.NDArray[np.float32]

#: H.273 codes of the transfer curves of high dynamic range.
PQ, HLG = 16, 18
HDR_NAMES = {PQ: "PQ", HLG: "HLG"}

#: H.273 codes of primaries -> chromaticities (x, y) of red, green and blue: BT.709, BT.2020, DCI-P3, Display P3.
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: _P3,
    12: _P3,
}
_BT709, _BT2020 = 1, 9
_D65 = (0.3127, 0.3290)

#: Luminance of diffuse white (BT.2408), and the brightest that is told apart, in cd/m2.
_WHITE, _PEAK = 203.0, 1000.0
#: Below this share of white, tone mapping changes nothing.
_KNEE = 0.3
_GAMMA = 2.4
_LEVELS = 1 << 16


@dataclass(frozen=True, eq=False)
class Tone:
    """Conversion of one kind of picture to BT.709 in standard range.

    Attributes:
        light: float32 ``(65536,)``, linear light from 0 to 1 for each code.
        gamut: float32 ``(3, 3)``, linear RGB of the source to linear BGR of BT.709.
        code: uint8 ``(65536,)``, the code of BT.709 for each square root of linear light. The square root spends the
            table on dark tones, as the eye does.
    """

    light: Table
    gamut: Table
    code: npt.NDArray[np.uint8]

    def apply(self, deep: npt.NDArray[np.uint16]) -> Frame:
        """Convert full-range uint16 ``(H, W, 3)`` RGB to uint8 BGR."""
        linear = cv2.transform(_look_up(self.light, deep), self.gamut)
        root = np.sqrt(np.clip(linear, 0, 1, out=linear), out=linear)
        root *= _LEVELS - 1
        return np.asarray(_look_up(self.code, root.astype(np.uint16)), np.uint8)


@lru_cache
def tone_of(transfer: int, primaries: int) -> Tone | None:
    """Conversion for H.273 codes of transfer curve and primaries; None for a picture that needs none."""
    is_hdr = transfer in HDR_NAMES
    if primaries not in _PRIMARIES:
        primaries = _BT2020 if is_hdr else _BT709
    if not is_hdr and primaries == _BT709:
        return None
    steps = np.linspace(0, 1, _LEVELS)
    light = nits(steps, transfer) / _PEAK if is_hdr else steps**_GAMMA
    shown = tone_map(steps**2 * _PEAK / _WHITE) if is_hdr else steps**2
    code = np.rint(255 * shown ** (1 / _GAMMA))
    return Tone(light.astype(np.float32), _gamut(primaries)[::-1].astype(np.float32), code.astype(np.uint8))


def nits(code: npt.NDArray[np.float64], transfer: int) -> npt.NDArray[np.float64]:
    """Luminance in cd/m2 of codes from 0 to 1 by SMPTE ST 2084 (PQ), or by BT.2100 HLG on a screen of 1000 cd/m2.

    HLG's system gamma is applied to each channel alone.
    """
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = code ** (1 / m2)
        return np.asarray(10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1))
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return np.asarray(_PEAK * scene**1.2)


def tone_map(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Moebius curve: as it is up to ``_KNEE``, and smoothly to 1 at ``_PEAK``; ``light`` is relative to white."""
    peak = _PEAK / _WHITE
    a = -(_KNEE**2) * (peak - 1) / (_KNEE**2 - 2 * _KNEE + peak)
    b = (_KNEE**2 - 2 * _KNEE * peak + peak) / (peak - 1)
    curve = (b * b + 2 * b * _KNEE + _KNEE**2) / (b - a) * (light + a) / (light + b)
    return np.asarray(np.clip(np.where(light <= _KNEE, light, curve), 0, 1))


def _gamut(primaries: int) -> npt.NDArray[np.float64]:
    """Linear RGB of ``primaries`` to linear RGB of BT.709; white stays white."""
    matrix = np.linalg.inv(_to_xyz(_BT709)) @ _to_xyz(primaries)
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))


def _to_xyz(primaries: int) -> npt.NDArray[np.float64]:
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in _PRIMARIES[primaries]]).T
    x, y = _D65
    white = np.array([x / y, 1, (1 - x - y) / y])
    return np.asarray(columns * np.linalg.solve(columns, white))


def _look_up(table: npt.NDArray[np.generic], codes: npt.NDArray[np.uint16]) -> npt.NDArray[np.generic]:
    try:
        return np.asarray(cv2.LUT(codes, table))
    except cv2.error:  # OpenCV looks 16-bit codes up from version 4.12 on
        return np.asarray(table[codes])
