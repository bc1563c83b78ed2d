"""A mark for tests that compare INT8 graphs with half precision beside it."""

from __future__ import annotations

import pytest

from mostnet.engine.ort.rounding import rounds_half_precision

needs_rounding = pytest.mark.skipif(
    not rounds_half_precision(), reason="this ONNX Runtime does not round half precision to INT8"
)
