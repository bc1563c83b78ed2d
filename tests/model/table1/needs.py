"""Skip a test whose network is made of a library that cannot be imported; fail under ``MOSTNET_REQUIRE_TABLE1=1``."""

from __future__ import annotations

import functools
import os

import pytest

from mostnet.contract import BackendNotInstalledError
from mostnet.model.table1 import Baseline, build, load_table1

#: What each network is made of. The others need nothing but torch.
LIBRARIES = {
    "raft": ("torchvision.models.optical_flow",),
    "unet++": ("segmentation_models_pytorch",),
    "deeplabv3+": ("segmentation_models_pytorch",),
    "combination": ("torchvision.models.optical_flow", "segmentation_models_pytorch"),
}


@functools.cache
def _missing(library: str) -> str:
    try:
        load_table1(library)
    except BackendNotInstalledError as error:
        return str(error)
    return ""


def need(name: str) -> None:
    """Skip the test where the libraries of this network cannot be imported."""
    for library in LIBRARIES.get(name, ()):
        if reason := _missing(library):
            if os.environ.get("MOSTNET_REQUIRE_TABLE1") == "1":
                pytest.fail(f"MOSTNET_REQUIRE_TABLE1=1: {reason}")
            pytest.skip(reason)


@functools.cache
def _built(name: str) -> Baseline:
    return build(name, seed=1)


def built(name: str) -> Baseline:
    """The untrained network, made once and shared by all tests, or a skip where it cannot be made."""
    need(name)
    return _built(name)
