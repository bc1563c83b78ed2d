"""The command that an error about a plan names is one that ``mostnet-export`` takes."""

from pathlib import Path

import pytest

from mostnet.contract import PlanMismatchError
from mostnet.engine.tensorrt.checks import check_fit, read_plan_info
from mostnet.export.cli import _parser
from tests.engine.fake_cuda import Gpu
from tests.engine.fake_tensorrt import FakeTensorRt
from tests.engine.plan_setup import write_plan


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("generation", ["8.6", "rtx"])
def test_the_command_parses(tmp_path: Path, generation: str, precision: str) -> None:
    trt = FakeTensorRt(Gpu(), generation).module
    flavour = "rtx" if generation == "rtx" else "tensorrt"
    plan = write_plan(tmp_path / "x.plan", flavour=flavour, tensorrt_version=trt.__version__, precision=precision)
    with pytest.raises(PlanMismatchError) as caught:
        check_fit(plan, read_plan_info(plan), trt, "sm_89")
    words = str(caught.value).split("mostnet-export ")[1].split()
    args = _parser().parse_args(words)
    assert (args.checkpoint, args.precision, args.size, args.opset) == ("CKPT.pt", precision, [(64, 80)], 19)
    assert args.calib == (Path("VIDEO") if precision == "int8" else None)
    assert (args.flavour, args.target) == (flavour, ("sm_89",) if flavour == "rtx" else None)
