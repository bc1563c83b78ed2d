"""Streaming evaluation of a perfect model, of a checkpoint, and of the engine exported from it."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mostnet.contract import DatasetError, FrameError, NoGpuError
from mostnet.engine import Output
from mostnet.export.exporter import ExportOptions, export
from mostnet.model import Checkpoint, NetworkStream, initial_checkpoint, load_checkpoint, save_checkpoint
from mostnet.training import EvalOptions, evaluate
from mostnet.training.data.dataset import index_split, read_labelled_frame
from mostnet.training.evaluation.cli import main
from mostnet.training.evaluation.evaluate import check_sizes, evaluate_stream, frames_to_run
from mostnet.training.evaluation.open_model import open_model
from mostnet.training.evaluation.report import read_report
from mostnet.training.evaluation.scores import PSNR_CAP_DB, FrameScore, Scores
from mostnet.training.evaluation.streams import CheckpointStream
from mostnet.video import VideoReader
from tests.training.data.picture_files import bad_files
from tests.training.moving_scenes import moving_clip, write_sequence

SIZE = (72, 96)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences with every label, and a shorter one without flow and mask."""
    root = tmp_path_factory.mktemp("eval") / "tiny"
    for i, step in enumerate(((3.0, -4.0), (-2.0, 1.0))):
        write_sequence(root / "test" / f"full{i}", moving_clip(5, size_hw=SIZE, step_px=step, seed=i))
    clip = replace(moving_clip(3, size_hw=SIZE, seed=7), flow=None, valid=None, mask=None)
    write_sequence(root / "test" / "partly", clip)
    write_sequence(root / "val" / "partly", clip)
    (root / "test" / "dataset.json").write_text('{"seed": 5}')
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("eval-checkpoint") / "tiny.pt"
    save_checkpoint(initial_checkpoint("nano", seed=1, random_head=True), path)
    return path


@pytest.fixture(scope="module")
def engine_file(checkpoint: Path) -> Path:
    return export(
        checkpoint, ExportOptions(precision="fp32", size_hw=SIZE, output=checkpoint.parent, onnx_only=True)
    ).onnx


class PerfectModel:
    """Its outputs are the labels, for a degraded frame and for a clean one."""

    def __init__(self, data: Path) -> None:
        frames = [read_labelled_frame(s, t) for s in index_split(data, "test") for t in range(len(s))]
        self._answers = {frame.input.tobytes(): frame for frame in frames}
        self._answers |= {frame.reference.tobytes(): frame for frame in frames}
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def infer(self, frame: np.ndarray) -> Output:
        labels = self._answers[frame.tobytes()]
        return Output(labels.reference, labels.flow, labels.mask, True, 0, None, 2.0)


def test_a_perfect_model_has_perfect_figures(data: Path) -> None:
    model = PerfectModel(data)
    evaluation = evaluate_stream(model, index_split(data, "test"))
    scores = evaluation.rows.summary()["model"]
    assert scores.psnr_db == scores.fit_db == PSNR_CAP_DB and scores.ssim == pytest.approx(1)
    assert scores.shade_mean_de00 == scores.shade_p95_de00 == 0
    assert scores.epe_px == 0 and scores.iou == 1
    assert scores.motion_px == pytest.approx(0, abs=1e-9) and scores.slope == pytest.approx(1)
    assert evaluation.rows.summary()["clean input"] == scores
    assert model.resets == 6
    assert evaluation.fps == pytest.approx(500), "the time on clean input counts too"


def test_baseline_row_is_the_size_of_the_problem(data: Path) -> None:
    evaluation = evaluate_stream(PerfectModel(data), index_split(data, "test")[:1])
    frames = [read_labelled_frame(index_split(data, "test")[0], t) for t in range(5)]
    baseline = evaluation.rows.summary()["baseline"]
    assert baseline.epe_px == pytest.approx(5) and baseline.motion_px == pytest.approx(5)
    assert baseline.iou == pytest.approx(np.mean([frame.mask > 0 for frame in frames]))
    oracle = evaluation.rows.summary()["oracle colour"]
    assert oracle.psnr_db == baseline.fit_db > baseline.psnr_db + 10
    assert baseline.slope is None and oracle.fit_db is None and oracle.epe_px is None
    assert 0 < oracle.shade_mean_de00 < oracle.shade_p95_de00 < baseline.shade_mean_de00


def test_dis_row_has_flow_alone(data: Path) -> None:
    dis = evaluate_stream(PerfectModel(data), index_split(data, "test")).rows.summary()["DIS"]
    assert dis.epe_px < 0.5 and dis.motion_px < 0.5 and dis.slope == pytest.approx(1, abs=0.05)
    assert dis == Scores(epe_px=dis.epe_px, motion_px=dis.motion_px, slope=dis.slope)


class Recorder:
    """Returns its input, the number of frames since the reset as flow, and every pixel as tooth."""

    def __init__(self) -> None:
        self.frames: list[list[np.ndarray]] = []

    def reset(self) -> None:
        self.frames.append([])

    def infer(self, frame: np.ndarray) -> Output:
        self.frames[-1].append(frame)
        flow = np.full((2, *frame.shape[:2]), len(self.frames[-1]), np.float32)
        mask = np.full(frame.shape[:2], 255, np.uint8)
        return Output(frame, flow, mask, len(self.frames) % 2 == 1, 0, None, 100.0 if len(self.frames) % 2 else 7.0)


def test_clean_input_is_the_reference_from_zero_state(data: Path) -> None:
    model, sequence = Recorder(), index_split(data, "test")[0]
    evaluation = evaluate_stream(model, [sequence], frames=3)
    ordinary, clean = model.frames
    labelled = [read_labelled_frame(sequence, t) for t in range(3)]
    assert all((a == b.input).all() for a, b in zip(ordinary, labelled, strict=True))
    assert all((a == b.reference).all() for a, b in zip(clean, labelled, strict=True))
    rows = evaluation.rows.summary()
    assert rows["clean input"].psnr_db == PSNR_CAP_DB and rows["clean input"].shade_p95_de00 == 0
    for figure in ("epe_px", "motion_px", "slope", "iou", "iou_frame_mean"):
        assert getattr(rows["clean input"], figure) == getattr(rows["model"], figure) is not None
    assert rows["model"].psnr_db == rows["baseline"].psnr_db
    assert evaluation.fps == pytest.approx(10) and evaluation.sequences[0].healed == 3


def test_without_references_the_model_runs_once(data: Path, tmp_path: Path) -> None:
    clip = replace(moving_clip(3, size_hw=SIZE), reference=None)
    write_sequence(tmp_path / "test" / "blind", clip)
    (sequence,) = index_split(tmp_path, "test")
    model = Recorder()
    rows = evaluate_stream(model, [sequence]).rows
    assert len(model.frames) == 1 and rows.clean == (FrameScore(),) * 3
    assert rows.summary()["clean input"] == Scores() and rows.summary()["DIS"].epe_px < 1
    assert frames_to_run([sequence, *index_split(data, "test")], 4) == 3 + 2 * (4 + 4 + 3)


def test_warm_up_is_counted_from_each_reset(data: Path) -> None:
    steps = evaluate_stream(PerfectModel(data), index_split(data, "test")).warm_up()
    assert [len(step.model) for step in steps] == [3, 3, 3, 2, 2]
    assert [step.summary()["model"].epe_px for step in steps] == [None, 0, 0, 0, 0]
    assert len(evaluate_stream(PerfectModel(data), index_split(data, "test"), frames=2).warm_up()) == 2


def test_progress_counts_frames(data: Path) -> None:
    told: list[int] = []
    evaluate_stream(PerfectModel(data), index_split(data, "test"), frames=4, progress=told.append)
    assert told == list(range(1, 1 + frames_to_run(index_split(data, "test"), 4)))
    assert told[-1] == 22


def test_sequences_do_not_leak_into_each_other(data: Path, checkpoint: Path) -> None:
    sequences = index_split(data, "test")
    stream = CheckpointStream(NetworkStream(load_checkpoint(checkpoint).model))
    both, alone = evaluate_stream(stream, sequences[:2]), evaluate_stream(stream, sequences[1:2])
    assert both.sequences[1].rows == alone.sequences[0].rows


def test_engine_has_the_figures_of_its_checkpoint(data: Path, checkpoint: Path, engine_file: Path) -> None:
    options = EvalOptions(device="cpu", threads=1)
    one, other = (evaluate(path, data, options=options).report for path in (checkpoint, engine_file))
    wanted, found = (report.evaluation.rows.summary()["model"] for report in (one, other))
    assert found.psnr_db == pytest.approx(wanted.psnr_db, abs=0.05)
    assert found.ssim == pytest.approx(wanted.ssim, abs=0.002)
    assert found.epe_px == pytest.approx(wanted.epe_px, abs=0.01)
    assert found.iou == pytest.approx(wanted.iou, abs=0.002)
    assert wanted.epe_px > 1 and 0.05 < wanted.iou < 0.95, "a model that does nothing would agree too"
    assert other.model.parameters_m == one.model.parameters_m == pytest.approx(0.563, abs=0.001)
    assert (other.model.size_hw, one.model.size_hw) == (SIZE, None)


def test_ablated_checkpoints_run_as_they_were_trained(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    loaded, path = load_checkpoint(checkpoint), tmp_path / "ablated.pt"

    def figures(**options: object) -> dict:
        save_checkpoint(Checkpoint("nano", loaded.model, {"options": options}), path)
        with open_model(path, device="cpu") as (stream, info):
            return evaluate_stream(stream, index_split(data, "test")[:1], tasks=info.tasks).rows.summary()

    full, forgetful, unaligned = figures(), figures(recurrence=False), figures(alignment=False)
    assert forgetful["model"].epe_px == forgetful["baseline"].epe_px
    assert unaligned["model"].psnr_db not in (full["model"].psnr_db, forgetful["model"].psnr_db)
    flow_only = figures(tasks=["flow"])["model"]
    assert flow_only.epe_px == full["model"].epe_px
    assert flow_only.psnr_db is None and flow_only.iou is None


def test_frames_of_two_sizes_are_refused(tmp_path: Path, checkpoint: Path) -> None:
    write_sequence(tmp_path / "test" / "odd", replace(moving_clip(2, size_hw=SIZE), flow=None))
    picture = np.zeros((80, 96, 3), np.uint8)
    for kind in ("input", "reference", "mask"):
        cv2.imwrite(str(tmp_path / "test" / "odd" / kind / "000001.png"), picture)
    with pytest.raises(DatasetError, match=r"000001.png: is 80x96, the first frame of its sequence is 72x96"):
        evaluate_stream(
            CheckpointStream(NetworkStream(load_checkpoint(checkpoint).model)), index_split(tmp_path, "test")
        )


def test_engine_of_another_size_is_refused_before_anything_runs(data: Path, engine_file: Path) -> None:
    with open_model(engine_file, device="cpu") as (_, info):
        check_sizes(index_split(data, "test"), info)
        with pytest.raises(FrameError, match=r"takes frames of 96x72, but sequence full0 has 72x96; .* --size 72x96"):
            check_sizes(index_split(data, "test"), replace(info, size_hw=(96, 72)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused(checkpoint: Path) -> None:
    with pytest.raises(NoGpuError, match="use --device cpu"), open_model(checkpoint, device="cuda"):
        pass


def test_command_prints_the_table_and_writes_everything(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(checkpoint), str(data), "--out", str(tmp_path), "--threads", "1", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    names = [line.split("|")[1].strip() for line in lines]
    model = f"{checkpoint.parent.name}/{checkpoint.name} (nano)"
    assert names[2:6] == ["baseline", "oracle colour", model, f"{model}, clean input"]
    assert names[8:] == ["baseline", "DIS", model, f"{model}, clean input"]
    assert "EPE: over the 8 of 10 frames that have a usable flow label" in printed
    assert "IoU: over the 10 of 13 frames that have a usable mask label" in printed
    assert "tooth shade: over the 10 of 13 frames that have a usable reference and mask label" in printed
    assert "Half of the observers see 0.8 and half accept 1.8" in printed and "clean input:" not in printed
    assert "untrained" in printed
    document = json.loads((tmp_path / "evaluation.json").read_text())
    found = (
        "tiny/test: layout of mostnet, 3 sequences, 13 frames; labels: reference in 3 sequences (13 frames), "
        "mask in 2 of 3 sequences (10 frames), flow in 2 of 3 sequences (10 frames); missing: mask in 1 of 3 "
        "sequences, flow in 1 of 3 sequences"
    )
    assert document["data"].pop("found") == [found] and found in printed.partition("|")[0], "above the tables"
    assert printed.count(found) == 1
    assert document["data"] == {"name": "tiny", "split": "test", "descriptions": {"test": {"seed": 5}}}
    assert document["labelled_frames"] == {"picture": 13, "shade": 10, "flow": 8, "mask": 10, "motion": 8}
    assert document["format_version"] == 2
    assert document["shade_limits_de00"] == {"just_seen": 0.8, "just_accepted": 1.8}
    assert document["rows"]["oracle colour"]["psnr_db"] == document["rows"]["baseline"]["fit_db"]
    cells = [cell.strip() for cell in lines[4].split("|")]
    wanted = [document["rows"]["model"][f] for f in ("psnr_db", "fit_db", "ssim", "shade_mean_de00", "shade_p95_de00")]
    assert cells[2:7] == [f"{value:.{digits}f}" for value, digits in zip(wanted, (2, 2, 3, 2, 2), strict=True)]
    assert f"{document['rows']['model']['iou_frame_mean']:.3f}" == lines[10].split("|")[6].strip()
    with (tmp_path / "sequences.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sequence"] for row in rows] == ["full0", "full1", "partly"]
    assert float(rows[0]["baseline_epe_px"]) == pytest.approx(5) and rows[2]["model_epe_px"] == ""
    assert float(rows[0]["dis_epe_px"]) < 1 and "dis_psnr_db" not in rows[0] and "baseline_slope" not in rows[0]
    assert float(rows[0]["clean_input_psnr_db"]) > 0 and float(rows[0]["oracle_colour_shade_p95_de00"]) > 0
    with (tmp_path / "frames.csv").open() as file:
        frames = list(csv.DictReader(file))
    places = [("full0", t) for t in range(5)] + [("full1", t) for t in range(5)] + [("partly", t) for t in range(3)]
    assert [(row["sequence"], int(row["frame"])) for row in frames] == places
    assert frames[0]["model_epe_px"] == "" and float(frames[1]["model_epe_px"]) > 0 and frames[12]["model_iou"] == ""
    mean = np.mean([float(row["model_psnr_db"]) for row in frames[:5]])
    assert mean == pytest.approx(float(rows[0]["model_psnr_db"]), abs=1e-3)
    assert not (tmp_path / "video").exists()
    with (tmp_path / "warm_up.csv").open() as file:
        assert [row["sequences"] for row in csv.DictReader(file)] == ["3", "3", "3", "2", "2"]
    assert cv2.imread(str(tmp_path / "contact_sheet.png")) is not None


def test_missing_labels_are_dashes_with_a_reason(
    data: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(checkpoint), str(data), "--split", "val", "--frames", "2", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    pictures, motion = (
        [c.strip() for c in x.split("|")] for x in printed.splitlines() if x.startswith("|") and "(nano)  " in x
    )
    assert pictures[5:7] == ["-", "-"] and "-" not in pictures[2:5]
    assert motion[2:7] == ["-"] * 5
    assert "tooth shade: '-', no frame has a reference and mask label to measure on" in printed
    assert "Half of the observers" not in printed
    assert "EPE: '-', no frame has a flow label to measure on" in printed
    assert "IoU: '-', no frame has a mask label to measure on" in printed


def test_no_references_are_dashes_with_a_reason(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sequence(tmp_path / "test" / "blind", replace(moving_clip(2, size_hw=SIZE), reference=None))
    assert main([str(checkpoint), str(tmp_path), "--device", "cpu", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "PSNR, fit, SSIM: '-', no frame has a reference label to measure on" in printed
    assert "clean input: '-', skipped because no sequence has reference frames" in printed
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["rows"]["clean input"]["iou"] is None


def test_some_references_are_said_of_the_clean_input(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = moving_clip(2, size_hw=SIZE)
    write_sequence(tmp_path / "test" / "blind", replace(clip, reference=None))
    write_sequence(tmp_path / "test" / "full", clip)
    assert main([str(checkpoint), str(tmp_path), "--device", "cpu"]) == 0
    assert "clean input: run on the 2 of 4 frames that have a reference" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{checkpoint}", "{data}", "--split", "train"], "train: no such split"),
        (["{data}/nothing.pt", "{data}"], "no such checkpoint"),
        (["{data}/test/dataset.json", "{data}"], "expected a checkpoint (.pt) or an exported model (.onnx, .plan)"),
    ],
)
def test_command_says_what_is_wrong(
    arguments: list[str], text: str, data: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(checkpoint=checkpoint, data=data) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("mostnet-eval: ") and text in error and len(error.splitlines()) == 1


def test_a_bad_file_ends_the_evaluation_before_it_begins(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sequence(tmp_path / "test" / "a", moving_clip(3, size_hw=SIZE))
    last = tmp_path / "test/a/reference/000002.png"
    for path, text in bad_files(tmp_path / "bad").items():
        last.unlink()
        last.symlink_to(path)
        assert main([str(checkpoint), str(tmp_path), "--device", "cpu"]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"mostnet-eval: {last}: ") and text in error and error.count("\n") == 1


def test_a_name_that_is_no_text_and_looks_like_mathematics(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sequence(tmp_path / "test" / "plain", moving_clip(3, size_hw=SIZE))
    (tmp_path / "test/plain").rename(tmp_path / "test" / "s\udcff$\\x[b]\n$")
    out = tmp_path / "out\udcff[b] :100:"
    assert main([str(checkpoint), str(tmp_path), "--device", "cpu", "--out", str(out)]) == 0
    assert r"out\udcff[b] :100:" in capsys.readouterr().out.replace("\udcff", r"\udcff")
    assert r"s\udcff$\x[b]" in (out / "sequences.csv").read_text(encoding="utf-8")
    assert (out / "contact_sheet.png").stat().st_size


def test_json_that_a_windows_editor_saved(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    """It begins with a byte order mark."""
    write_sequence(tmp_path / "test" / "a", moving_clip(2, size_hw=SIZE))
    (tmp_path / "test/dataset.json").write_text('{"seed": 5}', encoding="utf-8-sig")
    report = evaluate(checkpoint, tmp_path, device="cpu", out=tmp_path / "out").report
    assert report.data.descriptions == {"test": {"seed": 5}}
    written = tmp_path / "out/evaluation.json"
    written.write_text(written.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_report(written)["data"]["descriptions"] == {"test": {"seed": 5}}


def test_a_video_of_each_sequence(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(checkpoint), str(data), "--threads", "1", "--device", "cpu", "--frames", "2"]
    arguments += ["--max-sequences", "2"]
    assert main([*arguments, "--video"]) == 1
    assert "--video writes into the folder of --out; give --out DIR too" in capsys.readouterr().err
    assert main([*arguments, "--out", str(tmp_path), "--video"]) == 0
    assert f"{tmp_path / 'video' / 'full0.mp4'}  " in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "video").iterdir()) == ["full0.mp4", "full1.mp4"]
    with VideoReader(tmp_path / "video" / "full1.mp4") as reader:
        assert sum(1 for _ in reader) == 2


def test_matplotlib_is_asked_for_before_the_measurement(
    data: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("mostnet.training.evaluation.run.open_model", lambda *_, **__: pytest.fail("it ran first"))
    assert main([str(checkpoint), str(data), "--out", str(tmp_path / "out")]) == 1
    assert "matplotlib is not installed; pip install 'mostnet[train]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
