"""The rows of the table, and what the source publishes for each."""

from __future__ import annotations

from dataclasses import dataclass

from mostnet.model import VARIANTS
from mostnet.model.table1 import TABLE1, TRAINABLE, Published
from mostnet.training.options import MOSTNET

#: Greatest learning rate of each network: that of its paper for a batch of four clips or the nearest, and ours.
LEARNING_RATES = {
    "flownet": 1e-4,
    "raft": 4e-4,
    "mimo-unet": 1e-4,
    "estrnn": 5e-4,
    "unet++": 3e-4,
    "deeplabv3+": 3e-4,
    **dict.fromkeys(VARIANTS, 1e-3),
}
ESTRNN = "estrnn"
#: The row that is made of three others, and these.
COMBINATION = "combination"
PARTS = (ESTRNN, "raft", "deeplabv3+")
#: The row without a method.
NO_METHOD = "none"
#: Names of the rows in the order of the table.
ROWS = (*TRAINABLE, COMBINATION, "sw", "dw", "nano")


@dataclass(frozen=True)
class Cost:
    """Size and work of one row.

    Attributes:
        parameters_m: millions of parameters.
        gflop: floating-point operations of one frame in billions, two per multiply-add of convolutions and products.
    """

    parameters_m: float
    gflop: float


def is_ours(row: str) -> bool:
    """Whether the row is a variant of MOST-NET+."""
    return row in VARIANTS


def network_option(row: str) -> dict[str, str]:
    """The options ``network`` and ``variant`` of a training run."""
    return {"network": MOSTNET, "variant": row} if is_ours(row) else {"network": row}


def published(row: str) -> Published:
    """What the source says; figures of None for a row that it does not have."""
    return TABLE1.get(row, Published())


def cost(row: str, size_hw: tuple[int, int]) -> Cost:
    """Size and work of a row for frames of this height and width.

    Raises:
        BackendNotInstalledError: a library that the network is made of is not installed.
    """
    from mostnet.model.cost import module_flops, parameter_count, step_flops  # needs torch, which --help does without
    from mostnet.model.table1 import NETWORKS, build

    if is_ours(row):
        config = VARIANTS[row]
        return Cost(parameter_count(config) / 1e6, step_flops(config, size_hw) / 1e9)
    assert row in NETWORKS
    network = build(row)
    parameters = sum(p.numel() for p in network.parameters())
    return Cost(parameters / 1e6, module_flops(network.to("meta"), size_hw) / 1e9)
