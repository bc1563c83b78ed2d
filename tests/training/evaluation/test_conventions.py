"""The two ways to count: the source's figures are those of torchmetrics, and the table says which way it shows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_jaccard_index
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from mostnet.engine import Output
from mostnet.model import initial_checkpoint, save_checkpoint
from mostnet.training import EvalOptions
from mostnet.training.data.dataset import index_split, read_labelled_frame
from mostnet.training.evaluation.cli import main
from mostnet.training.evaluation.evaluate import evaluate_stream
from tests.training.moving_scenes import moving_clip, write_sequence

SIZE = (72, 96)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences of other lengths and other shares of teeth, so that the ways to count differ."""
    root = tmp_path_factory.mktemp("conventions") / "tiny"
    write_sequence(root / "test" / "a", moving_clip(4, size_hw=SIZE, step_px=(3.0, -4.0), seed=0))
    write_sequence(root / "test" / "b", moving_clip(2, size_hw=SIZE, step_px=(-2.0, 1.0), seed=9))
    return root


class NoisyModel:
    """Answers with noisy pictures that reach both ends of the range, and with masks that are wrong by frame."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []

    def reset(self) -> None:
        pass

    def infer(self, frame: np.ndarray) -> Output:
        rng = np.random.default_rng(len(self.outputs))
        noisy = frame * rng.uniform(0.8, 2.0) + rng.normal(0, 60, frame.shape)
        picture = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        mask = np.where(frame[..., 1] > (40, 130)[len(self.outputs) % 2], 255, 0).astype(np.uint8)
        flow = rng.normal(0, 3, (2, *frame.shape[:2])).astype(np.float32)
        self.outputs.append(Output(picture, flow, mask, True, len(self.outputs), None, 1.0))
        return self.outputs[-1]


def test_the_figures_of_the_source_are_those_of_torchmetrics(data: Path) -> None:
    model, sequences = NoisyModel(), index_split(data, "test")
    figures = evaluate_stream(model, sequences).rows.summary()["model"]
    outputs = [*model.outputs[:4], *model.outputs[8:10]]  # each sequence runs again with clean input
    labels = [read_labelled_frame(s, t) for s in sequences for t in range(len(s))]
    assert all(0 in output.enhanced and 255 in output.enhanced for output in outputs)
    pairs = list(zip(outputs, labels, strict=True))

    def picture(frame: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(frame).permute(2, 0, 1)[None].double() / 255

    psnr, ssim, iou = [], [], []
    for output, label in pairs:
        found, wanted = picture(output.enhanced), picture(label.reference)
        psnr.append(peak_signal_noise_ratio(found, wanted, data_range=1.0))
        ssim.append(structural_similarity_index_measure(found, wanted, data_range=1.0))
        iou.append(binary_jaccard_index(torch.from_numpy(output.mask / 255.0), torch.from_numpy(label.mask // 255)))
    assert figures.psnr_db == pytest.approx(float(np.mean(psnr)), abs=1e-4)
    assert figures.ssim_whole == pytest.approx(float(np.mean(ssim)), abs=1e-6)
    assert abs(figures.ssim - figures.ssim_whole) > 1e-3, "torchmetrics counts the edges too"
    assert figures.iou_frame_mean == pytest.approx(float(np.mean(iou)), abs=1e-6)
    assert abs(figures.iou - figures.iou_frame_mean) > 0.005, "the two ways to count differ on this data"


@pytest.mark.parametrize("convention", [None, "source"])
def test_the_table_says_how_it_counts(
    data: Path, tmp_path: Path, convention: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(initial_checkpoint("nano", seed=1, random_head=True), tmp_path / "tiny.pt")
    flags = [] if convention is None else ["--convention", convention]
    assert main([str(tmp_path / "tiny.pt"), str(data), "--out", str(tmp_path / "out"), *flags]) == 0
    shown = capsys.readouterr().out
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    row = document["rows"]["model"]
    assert document["convention"] == (convention or "ours")
    header = next(line for line in shown.splitlines() if "IoU" in line and "|" in line)
    rows = [line for line in shown.splitlines() if "tiny.pt (nano)" in line]
    cells = next(line for line in rows if f"{row['epe_px']:.2f}" in line)
    if convention == "source":
        assert "Convention: source" in shown and "IoU is the mean over frames" in shown
        assert "IoU per frame" not in header and f"{row['iou_frame_mean']:.3f}" in cells
        assert f"{row['psnr_db']:.2f}" in cells
        assert f"{row['ssim_whole']:.3f}" in cells
    else:
        assert "Convention: ours" in shown and "IoU per frame" in header
        assert f"{row['iou']:.3f}" in cells and f"{row['iou_frame_mean']:.3f}" in cells


def test_no_such_convention() -> None:
    with pytest.raises(ValueError, match="convention is 'theirs'; expected one of ours, source"):
        EvalOptions(convention="theirs")
    assert asdict(EvalOptions())["convention"] == "ours"
