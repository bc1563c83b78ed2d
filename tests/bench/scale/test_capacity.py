"""The arithmetic of capacity: cameras of a server and of a link, and the cost of an archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from mostnet.bench.scale import capacity
from mostnet.bench.scale.capacity import Archive, FrameTraffic, most_at_full_load, most_in_time
from mostnet.bench.scale.gpu_figures import GPU_FIGURES
from mostnet.bench.scale.simulate import ServerModel
from mostnet.contract import OUTPUTS


def server(service_ms: float, *, places: int = 1, transfer_ms: float = 0.0) -> ServerModel:
    return ServerModel(places=places, service_ms=[[service_ms]], transfer_ms=transfer_ms)


@pytest.mark.parametrize(
    ("service_ms", "places", "fps", "most"),
    [(8.0, 1, 25, 5), (8.1, 1, 25, 4), (8.0, 2, 25, 10), (50, 1, 25, 0), (50, 2, 25, 1)],
)
def test_at_full_load_the_places_have_no_time_left(service_ms: float, places: int, fps: float, most: int) -> None:
    assert most_at_full_load(server(service_ms, places=places), fps=fps) == most


def test_full_load_counts_the_times_of_busy_places() -> None:
    slower_together = ServerModel(places=2, service_ms=[[8.0], [16.0]])

    assert most_at_full_load(slower_together, fps=25) == 5


def test_a_frame_longer_than_the_limit_allows_no_camera() -> None:
    assert most_in_time(server(50, places=4), fps=25) == 0
    assert most_in_time(server(50, places=4), fps=25, factor=2.5) > 0
    assert most_in_time(server(5, transfer_ms=36), fps=25) == 0


def test_a_limit_that_no_wait_reaches_gives_the_full_load() -> None:
    assert most_in_time(server(8.0), fps=25, factor=10) == 5


def test_a_tight_limit_leaves_places_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "FRAMES", 500)

    found = [most_in_time(server(4.0, places=2), fps=25, factor=factor) for factor in (0.09, 0.11, 0.3, 1.0)]

    assert found == sorted(found)
    assert found[0] == 0 < found[1] < found[-1] == 20  # two periods of 40 ms hold 20 services of 4 ms


def test_traffic_is_that_of_the_tensors() -> None:
    enhanced, everything = (FrameTraffic.of((480, 640), names) for names in (("enhanced",), OUTPUTS))
    pixels = 480 * 640

    assert (enhanced.bytes_in, enhanced.bytes_out) == (3 * pixels, 3 * pixels)
    assert (everything.bytes_in, everything.bytes_out) == (3 * pixels, (3 + 8 + 1) * pixels)


def test_the_busier_direction_fills_a_link() -> None:
    traffic = FrameTraffic(bytes_in=1_000_000, bytes_out=4_000_000)

    assert traffic.most_cameras(1.0, fps=25) == 1  # 100 MB a second out; the link has 125
    assert traffic.most_cameras(8.0, fps=25) == 10
    assert FrameTraffic(bytes_in=4_000_000, bytes_out=1).most_cameras(8.0, fps=25) == 10


def test_an_archive_takes_the_time_of_its_frames() -> None:
    archive = Archive(videos=100, minutes=2, fps=30)

    assert archive.frames == 100 * 3600
    assert archive.core_hours(50) == pytest.approx(5)
    assert archive.hours(50, cores=1) == pytest.approx(5)
    assert archive.hours(50, cores=10) == pytest.approx(0.5)


def test_a_worker_does_whole_videos() -> None:
    archive = Archive(videos=100, minutes=2, fps=30)

    assert archive.hours(50, cores=99) == pytest.approx(2 * 0.05)
    assert archive.hours(50, cores=1000) == pytest.approx(0.05)


def test_the_file_system_carries_every_workers_frames() -> None:
    assert Archive().megabytes_a_second(50, 10_000, cores=64) == pytest.approx(64 * 20 * 0.01)


def test_every_gpu_figure_names_its_report() -> None:
    results = Path(__file__).parents[3] / "bench/results"
    for figure in GPU_FIGURES:
        pages = [page.read_text(encoding="utf-8") for page in (results / figure.report).glob("*.md")]
        assert any(f" {figure.fps:g} " in page for page in pages), figure
        assert figure.server.service_ms[0][0] == pytest.approx(1e3 / figure.fps)
