"""Old versions of ONNX Runtime cut half-precision values off where INT8 begins, and do not round them."""

from __future__ import annotations

import logging
from pathlib import Path

from mostnet.contract import Metadata

_LOG = logging.getLogger(__name__)

#: The first version whose CPU provider rounds; 1.29 was measured to cut off. Float32 was always rounded.
_ROUNDS = (1, 30)


def rounds_half_precision() -> bool:
    """Whether the installed ONNX Runtime rounds half precision to INT8 on the CPU."""
    import onnxruntime

    major, minor = onnxruntime.__version__.split(".")[:2]
    return (int(major), int(minor)) >= _ROUNDS


def warn_of_cut_values(path: Path, metadata: Metadata) -> None:
    """Warn of an INT8 graph that may have half precision beside it, where ONNX Runtime does not round.

    Only from opset 19 on does half precision become INT8 without float32 between them. A state in float32 tells that
    the rest of the graph is too.
    """
    is_float32 = "float32" in {pair.dtype for pair in metadata.states}
    if metadata.precision != "int8" or metadata.opset < 19 or is_float32:
        return
    if not rounds_half_precision():
        import onnxruntime

        _LOG.warning(
            "%s: ONNX Runtime %s does not round half precision to INT8, so results may be less accurate than on "
            "TensorRT; use ONNX Runtime %d.%d or newer (Python 3.11 or newer), or export with --rest fp32",
            path,
            onnxruntime.__version__,
            *_ROUNDS,
        )
