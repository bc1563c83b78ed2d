"""The PyTorch network on a stream of uint8 frames, with its state carried from frame to frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mostnet.contract import Frame, NoGpuError

from .frame import FrameModel, FrameModule
from .network import MostNet, State
from .tf32 import tf32


class StreamOutput(NamedTuple):
    """The network's outputs for one frame, in new arrays.

    Attributes:
        enhanced: uint8 ``(H, W, 3)`` BGR.
        flow: float32 ``(2, H, W)``, pixels.
        mask: uint8 ``(H, W)``.
        finite: false if a value was NaN or infinite and had to be replaced.
    """

    enhanced: Frame
    flow: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]
    finite: bool


class NetworkStream:
    """One stream of frames through a network. The state is zero at the start and after ``reset``."""

    def __init__(
        self, network: MostNet | FrameModule, *, device: str = "cpu", recurrence: bool = True, allow_tf32: bool = False
    ) -> None:
        """Take over ``network`` and move it to ``device``.

        Args:
            network: MOST-NET+, or the module for uint8 frames of another network.
            recurrence: carry the state; without it every frame starts from zero state.
            allow_tf32: compute float32 in TF32 on a GPU; the results are then no reference.

        Raises:
            NoGpuError: the device cannot be used.
        """
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise NoGpuError("PyTorch finds no CUDA device; use --device cpu, or install a CUDA build of torch")
        self._device = torch.device(device)
        module = FrameModel(network) if isinstance(network, MostNet) else network
        self._module: FrameModule = module.eval().to(self._device)
        self._recurrence = recurrence
        self._allow_tf32 = allow_tf32
        self._state: State | None = None

    def reset(self) -> None:
        """Start again from zero state; the next frame may be of another size."""
        self._state = None

    def infer(self, frame: Frame) -> StreamOutput:
        """Outputs of the next frame, uint8 ``(H, W, 3)`` BGR, in host memory.

        Raises:
            FrameError: the frame is too small.
            ValueError: its size differs from the frame before; call ``reset`` between sequences.
        """
        enhanced, flow, mask, finite = self.step(torch.from_numpy(frame)[None].to(self._device))
        return StreamOutput(enhanced[0].cpu().numpy(), flow[0].cpu().numpy(), mask[0].cpu().numpy(), bool(finite))

    def step(self, frame: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``infer`` on the device: uint8 ``(1, H, W, 3)`` in, the first four outputs of ``FrameModel.forward`` out."""
        if self._state is None:
            self._state = self._module.zero_state((frame.shape[1], frame.shape[2]))
        with torch.inference_mode(), tf32(self._allow_tf32):
            enhanced, flow, mask, finite, *state = self._module(frame, *self._state)
        self._state = tuple(state) if self._recurrence else None
        return enhanced, flow, mask, finite
