"""Keeps ONNX Runtime from reporting to its maker.

ONNX Runtime 1.32 looks up a host of its maker, and writes a device id and a queue of events to the user's cache folder,
from its import on. It reads the variable below when it is imported; ``disable_telemetry_events`` does not stop it.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import cache

_LOG = logging.getLogger(__name__)

_VARIABLE = "ORT_DISABLE_TELEMETRY"


def refuse_telemetry() -> None:
    """Set the variable, for this process and those that it starts, unless the user set it or the import has happened.

    An empty value counts as not set: ONNX Runtime would report.

    ``mostnet`` calls this when it is imported, and no module of ours imports ONNX Runtime before it is needed.
    """
    if "onnxruntime" not in sys.modules and not os.environ.get(_VARIABLE):
        os.environ[_VARIABLE] = "1"


@cache
def warn_of_telemetry() -> None:
    """Warn, once, if the application imported ONNX Runtime before mostnet and the user did not decide."""
    if not os.environ.get(_VARIABLE):
        _LOG.warning(
            "onnxruntime was imported before mostnet, so it may report its use to its maker; import mostnet first, or "
            "set %s=1 (0 allows it, and ends this warning)",
            _VARIABLE,
        )
