"""Plan files of the stand-in, and the command that writes them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mostnet.bench.gpu.standin import build
from mostnet.bench.gpu.standin import plan as standin_plan
from mostnet.bench.gpu.standin.plan import VERSION, StandinPlan, write_standin_plan, write_toy_plan
from mostnet.bench.gpu.standin.toy import METADATA, OUTPUTS, frame_of, history
from mostnet.contract import ExportError, ModelFileError, PlanInfo, sha256


@pytest.fixture(autouse=True)
def _a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin_plan, "gpu_architecture", lambda: "sm_90")


@pytest.fixture
def case(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "case"))


def info_of(plan: Path) -> PlanInfo:
    return PlanInfo.from_json(Path(f"{plan}.json").read_text(encoding="utf-8"), source="plan")


def test_a_plan_is_read_as_it_was_written() -> None:
    for plan in (
        StandinPlan(metadata=METADATA),
        StandinPlan(metadata=METADATA, checkpoint=b"a\nb", compute_ms=0.5, nan=9),
    ):
        assert StandinPlan.from_bytes(plan.to_bytes()) == plan
    assert plan.outputs == OUTPUTS


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"ftrt", "no plan of the stand-in"),
        (StandinPlan(metadata=METADATA).to_bytes()[:100], "damaged"),
        (StandinPlan(metadata=METADATA).to_bytes()[:-1], "truncated: 0 bytes of a checkpoint, expected 0"),
        (StandinPlan(metadata=METADATA, checkpoint=b"1234").to_bytes()[:-1], "3 bytes of a checkpoint, expected 4"),
        (StandinPlan(metadata=METADATA, checkpoint=b"1234").to_bytes() + b"5", "5 bytes of a checkpoint, expected 4"),
    ],
)
def test_another_file_or_a_part_of_one(content: bytes, error: str) -> None:
    with pytest.raises(ModelFileError, match=error):
        StandinPlan.from_bytes(content)


def test_the_plan_of_a_case(case: Path) -> None:
    path = write_standin_plan(case, compute_ms=0.3)
    plan, info = StandinPlan.from_bytes(path.read_bytes()), info_of(path)
    assert (path.name, plan.compute_ms) == ("case-standin.plan", 0.3)
    assert plan.checkpoint == (case / "case.pt").read_bytes()
    assert (info.flavour, info.tensorrt_version, info.targets) == ("tensorrt", VERSION, ("sm_90",))
    assert info.plan_sha256 == sha256(path)
    assert info.states == plan.metadata.states
    assert info.variant == "nano"


def test_the_toy_at_the_size_of_a_case(case: Path) -> None:
    plan = StandinPlan.from_bytes(write_standin_plan(case, toy=True, compute_ms=1.0).read_bytes())
    assert plan.checkpoint is None
    assert (plan.metadata.variant, plan.metadata.size_hw) == ("toy", (64, 112))
    assert plan.nan == 256, "the frames of a camera have no numbers"


def test_a_whole_toy_case(tmp_path: Path) -> None:
    path = write_toy_plan(tmp_path / "cases" / "toy")
    frames = np.load(path.with_name("frames.npy"))
    assert np.array_equal(frames[7], frame_of(7))
    with np.load(path.with_name("reference.npz")) as reference:
        assert history(reference["mask"][3]) == [0, 1, 2, 3]
    assert info_of(path).variant == "toy"


def test_a_case_that_cannot_run(case: Path, cases: Path) -> None:
    with pytest.raises(ExportError, match="a part of a network"):
        write_standin_plan(cases / "warp-fp16")
    request = case / "request.json"
    request.write_text(request.read_text().replace('"precision": "fp16"', '"precision": "int8"'))
    with pytest.raises(ExportError, match="runs fp32 and fp16, not int8"):
        write_standin_plan(case)
    request.unlink()
    with pytest.raises(ExportError, match=r"not prepared; run python -m mostnet\.bench\.gpu\.prepare"):
        write_standin_plan(case)


def test_the_command(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main([str(case), "--compute-ms", "0.6"]) == 0
    assert capsys.readouterr().out.startswith(f"{case}/case-standin.plan: 2.")
    assert StandinPlan.from_bytes((case / "case-standin.plan").read_bytes()).compute_ms == 0.6
    assert build.main([str(tmp_path / "nothing")]) == 1
    told = capsys.readouterr().err
    assert "not prepared" in told
    assert told.count("\n") == 1
    with pytest.raises(SystemExit):
        build.main([str(case), "--compute-ms", "-1"])
    assert "expected 0 to 10000 milliseconds" in capsys.readouterr().err


def test_the_command_needs_no_gpu_and_no_pytorch(case: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'cv2', 'av', 'rich', 'onnxruntime'])); "
        f"from mostnet.bench.gpu.standin.build import main; sys.exit(main([{str(case)!r}, '--miniature']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert info_of(case / "case-standin.plan").targets == ("sm_86",)
