"""CPU time that a camera's client spends on one frame at a Triton server, for each way to fetch the results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from mostnet.contract import OUTPUTS, OutputName
from mostnet.contract.arguments import positive_int
from mostnet.contract.terminal import CommandParser, command

if TYPE_CHECKING:
    from mostnet.serve import TritonSession

_NAME = "mostnet.bench.scale.client_cost"
_WARM_UP = 5

#: What a client may fetch, from all to the least.
FETCHES: tuple[tuple[OutputName, ...], ...] = (OUTPUTS, ("enhanced", "mask"), ("mask",))
RESULTS: tuple[Literal["owned", "borrowed"], ...] = ("owned", "borrowed")


def cost_ms(session: TritonSession, frames: int) -> float:
    """CPU time of this process per frame, of random frames that ``session`` runs one by one, in ms."""
    picture = np.random.default_rng(0).integers(0, 256, (*session.size_hw, 3), np.uint8)
    for _ in range(_WARM_UP):
        session.infer(picture)
    begun_s = time.process_time()
    for _ in range(frames):
        session.infer(picture)
    return (time.process_time() - begun_s) / frames * 1e3


@command(_NAME, extra="triton")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    args = _parser().parse_args(argv)
    from mostnet.serve import TritonSession

    for shared in (True, False):
        for outputs in FETCHES:
            for results in RESULTS:
                with TritonSession(
                    args.address, args.model, outputs=outputs, results=results, shared_memory=shared
                ) as session:
                    way = "shared memory" if shared else "messages"
                    print(f"{way:13}  {', '.join(outputs):20}  {results:8}  {cost_ms(session, args.frames):6.2f} ms")
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(prog=f"python -m {_NAME}", description=__doc__)
    parser.add_argument("--address", default="localhost:8001", help="the server's gRPC address (default: %(default)s)")
    parser.add_argument("--model", default="mostnet", help="its name of the model (default: %(default)s)")
    parser.add_argument("--frames", type=positive_int, default=100, help="frames of each row (default: %(default)s)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
