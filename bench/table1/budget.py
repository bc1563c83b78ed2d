"""What every network of the table gets for its training."""

from __future__ import annotations

from dataclasses import dataclass

from mostnet.training.options import TrainOptions

from .rows import LEARNING_RATES, is_ours, network_option

#: Steps that no run reaches: its minutes end it.
_STEPS = 1_000_000


@dataclass(frozen=True)
class Budget:
    """What every network gets.

    Attributes:
        minutes: wall-clock time of training.
        threads: CPU threads.
        batch: clips per step.
        clip: frames per step.
        chunks: steps per clip, with the state carried on.
        crop_hw: height and width of a clip.
    """

    minutes: float = 5.0
    threads: int = 2
    batch: int = 4
    clip: int = 2
    chunks: int = 3
    crop_hw: tuple[int, int] = (128, 160)

    def options(self, row: str) -> TrainOptions:
        """The options of a row's run. A network with one task needs no weights between tasks."""
        weights = {} if is_ours(row) else {"w_enhance": 1.0, "w_flow": 1.0, "w_mask": 1.0}
        return TrainOptions(
            **network_option(row),  # type: ignore[arg-type]
            **weights,  # type: ignore[arg-type]
            steps=_STEPS,
            max_minutes=self.minutes,
            threads=self.threads,
            batch=self.batch,
            clip=self.clip,
            chunks=self.chunks,
            crop_hw=self.crop_hw,
            lr=LEARNING_RATES[row],
            warmup=20,
            ema=0.98,
            cache="ram",
            validate_every=0,
            save_every=50,
        )
