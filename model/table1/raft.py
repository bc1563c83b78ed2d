"""RAFT: optical flow by repeated updates (Teed and Deng, ECCV 2020), from the layers of torchvision's large RAFT.

The loop is ours. Weights and features may be half precision. Correlation, coordinates and upsampling stay float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mostnet.model.torch_file import read_torch_file
from mostnet.model.weights import check_fit

from .correlation import AllPairs, ConvexUpsample, CorrelationLookup, FlowSum
from .flow_pair import FlowPair
from .libraries import load_table1
from .tensors import split_counts, with_counts

#: Updates of the flow, as in the paper's training.
ITERATIONS = 12


class Raft(FlowPair):
    """RAFT with torchvision's layers under torchvision's names.

    The steps of the loss are the upsampled flows of all iterations. In evaluation mode there is only the last one.
    """

    name: ClassVar[str] = "raft"
    stride: ClassVar[int] = 8
    least_side: ClassVar[int] = 128

    def __init__(self, *, iterations: int = ITERATIONS) -> None:
        """Make the network; its weights come from torch's random generator.

        Raises:
            BackendNotInstalledError: torchvision is not installed, or does not fit torch.
            ValueError: no iterations.
        """
        super().__init__()
        if iterations < 1:
            raise ValueError(f"iterations is {iterations}, expected at least 1")
        parts = load_table1("torchvision.models.optical_flow").raft_large(weights=None, progress=False)
        self.iterations = iterations
        self.feature_encoder = parts.feature_encoder
        self.context_encoder = parts.context_encoder
        self.update_block = parts.update_block
        self.mask_predictor = parts.mask_predictor
        self.correlate = AllPairs(levels=parts.corr_block.num_levels)
        self.look_up = CorrelationLookup(radius=parts.corr_block.radius)
        self.add = FlowSum()
        self.upsample = ConvexUpsample()

    def match(self, current: Tensor, previous: Tensor) -> tuple[Tensor, ...]:
        current, previous = 2.0 * current - 1.0, 2.0 * previous - 1.0
        features = self.feature_encoder(torch.cat((current, previous)))
        pyramid = self.correlate(*features.chunk(2))
        hidden, context = self._context(current)
        n, _, height, width = hidden.shape
        flow = torch.zeros((n, 2, height, width), device=hidden.device)
        flows = []
        for i in range(self.iterations):
            flow = flow.detach()  # as in the paper: each update learns only its own correction
            found, rounded = self.look_up(pyramid, flow, hidden.dtype)
            hidden, change = self.update_block(hidden, context, found, rounded)
            flow = self.add(flow, change)
            if self.training or i == self.iterations - 1:
                flows.append(self.upsample(flow, self.mask_predictor(hidden)))
        return tuple(flows)

    def _context(self, current: Tensor) -> tuple[Tensor, Tensor]:
        found = self.context_encoder(current)
        size = self.update_block.hidden_state_size
        hidden, context = torch.split(found, [size, found.shape[1] - size], dim=1)
        return torch.tanh(hidden), F.relu(context)


def load_raft_weights(network: Raft, path: Path) -> None:
    """Give ``network`` the weights of a file of torchvision's ``raft_large``.

    Such weights were trained on RGB. Ours sees BGR, so the first layers of both encoders are turned round.

    Raises:
        CheckpointError: the file cannot be read, or its names, shapes or values do not fit.
    """
    weights, counts = split_counts(read_torch_file(path), path)
    own = network.state_dict()
    check_fit(weights, {name: tuple(value.shape) for name, value in own.items() if value.is_floating_point()}, path)
    for encoder in ("feature_encoder", "context_encoder"):
        name = f"{encoder}.convnormrelu.0.weight"
        weights[name] = weights[name].flip(1)
    network.load_state_dict(with_counts(weights, counts, own, path))
