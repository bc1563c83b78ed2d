"""The simulation against queueing theory, and the rules that every run keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mostnet.bench.scale.figures import ServerFigures
from mostnet.bench.scale.simulate import CameraModel, ServerModel, simulate


def waits_ms(found: ServerFigures, service_ms: float) -> np.ndarray:
    return np.array([latency - service_ms for camera in found.cameras for latency in camera.latencies_ms])


def mean_wait_ms(arrivals_a_ms: float, service_ms: Sequence[float]) -> float:
    """Pollaczek and Khinchine: the mean wait of an M/G/1 queue is rate E[S^2] / (2 (1 - rate E[S]))."""
    samples = np.asarray(service_ms)
    return float(arrivals_a_ms * (samples**2).mean() / (2 * (1 - arrivals_a_ms * samples.mean())))


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("cameras", [1, 4])
def test_random_arrivals_wait_as_long_as_pollaczek_and_khinchine_say(load: float, cameras: int) -> None:
    service_ms = 10.0
    one = CameraModel(fps=load * 1e3 / service_ms / cameras, poisson=True, newest=False)
    server = ServerModel(places=1, service_ms=[[service_ms]])

    found = simulate(server, [one] * cameras, seconds=300 / load, seed=1)

    assert waits_ms(found, service_ms).mean() == pytest.approx(mean_wait_ms(load / service_ms, [service_ms]), rel=0.15)
    assert found.utilisation == pytest.approx(load, rel=0.05)


def test_a_service_time_that_varies_makes_frames_wait_longer() -> None:
    samples = [2.0, 18.0]  # the mean of 10 ms
    server = ServerModel(places=1, service_ms=[samples])

    found = simulate(server, [CameraModel(fps=60, poisson=True, newest=False)], seconds=500, seed=2)

    mean_ms = waits_ms(found, 10.0).mean()
    assert mean_ms == pytest.approx(mean_wait_ms(0.06, samples), rel=0.15)
    assert mean_ms > 1.4 * mean_wait_ms(0.06, [10.0])


def test_paced_cameras_below_saturation_never_wait() -> None:
    server = ServerModel(places=1, service_ms=[[9.9]], transfer_ms=3.0)
    cameras = [CameraModel(fps=25, phase_ms=10.0 * k) for k in range(4)]

    found = simulate(server, cameras, seconds=20)

    assert [camera.served for camera in found.cameras] == [500] * 4
    assert found.dropped_share == 0.0
    assert waits_ms(found, 12.9) == pytest.approx(0, abs=1e-6)
    assert found.utilisation == pytest.approx(0.99, rel=1e-6)


def test_cameras_in_step_queue_for_the_places() -> None:
    server = ServerModel(places=2, service_ms=[[5.0]])

    found = simulate(server, [CameraModel(fps=25)] * 6, seconds=1)

    assert [camera.percentile_ms(50) for camera in found.cameras] == pytest.approx([5, 5, 10, 10, 15, 15])


def test_a_server_beyond_saturation_serves_what_it_can_and_drops_the_oldest() -> None:
    server = ServerModel(places=2, service_ms=[[50.0]])  # 40 frames per second

    found = simulate(server, [CameraModel(fps=25, phase_ms=3.0 * k) for k in range(4)], seconds=60)

    assert found.served_fps * 4 == pytest.approx(40, rel=0.02)
    assert found.dropped_share == pytest.approx(0.6, abs=0.02)
    slowest_ms = 40 + 100 + 50  # a frame waits at most a period at the camera, for two turns, and for its own service
    assert max(latency for camera in found.cameras for latency in camera.latencies_ms) <= slowest_ms
    assert found.utilisation == pytest.approx(1, rel=0.02)


def test_without_dropping_a_camera_beyond_saturation_falls_behind() -> None:
    server = ServerModel(places=1, service_ms=[[50.0]])

    found = simulate(server, [CameraModel(fps=25, newest=False)], seconds=10)

    assert (found.cameras[0].served, found.cameras[0].dropped) == (250, 0)
    assert found.cameras[0].latencies_ms[-1] == pytest.approx(50 + 249 * 10)


def test_the_only_frame_that_waits_is_the_newest() -> None:
    server = ServerModel(places=1, service_ms=[[91.0]])

    latencies = simulate(server, [CameraModel(fps=25)], seconds=1).cameras[0].latencies_ms

    # Captures at 40, 80, 120 ms and so on. The services begin at 40, 131, 222, 313 and 404 ms.
    assert latencies[:5] == pytest.approx([131 - 40, 222 - 120, 313 - 200, 404 - 280, 495 - 400])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("places", [1, 3])
@pytest.mark.parametrize("newest", [True, False])
def test_every_frame_is_served_or_dropped(seed: int, places: int, newest: bool) -> None:
    server = ServerModel(places=places, service_ms=[[5.0, 20.0, 35.0]], transfer_ms=2.0)
    cameras = [CameraModel(fps=25, phase_ms=7.0 * k, jitter_ms=15.0, newest=newest) for k in range(6)]

    for camera in simulate(server, cameras, seconds=10, seed=seed).cameras:
        assert camera.captured == 250
        assert camera.served + camera.dropped == camera.captured
        assert min(camera.latencies_ms) >= 7.0
        assert newest or not camera.dropped


def test_cameras_beyond_the_limit_are_refused_and_cost_nothing() -> None:
    server = ServerModel(places=1, service_ms=[[30.0]], most_cameras=1)

    found = simulate(server, [CameraModel(fps=25)] * 3, seconds=4)

    assert [camera.refused for camera in found.cameras] == [False, True, True]
    assert [camera.served for camera in found.cameras] == [100, 0, 0]
    assert found.served_fps == 25
    assert found.to_json()["refused"] == 2


def test_more_busy_places_take_their_own_samples() -> None:
    server = ServerModel(places=2, service_ms=[[4.0], [8.0]])

    alone = simulate(server, [CameraModel(fps=25)], seconds=1)
    together = simulate(server, [CameraModel(fps=25), CameraModel(fps=25, phase_ms=1.0)], seconds=1)

    assert set(np.round(alone.cameras[0].latencies_ms, 6)) == {4.0}
    assert [camera.percentile_ms(50) for camera in together.cameras] == pytest.approx([4, 8])


def test_a_seed_gives_the_same_run_again() -> None:
    server = ServerModel(places=1, service_ms=[[5.0, 9.0]])
    cameras = [CameraModel(fps=25, jitter_ms=5.0)] * 2

    first, again, other = (simulate(server, cameras, seconds=5, seed=seed) for seed in (3, 3, 4))

    assert first == again and first != other


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"places": 0}, "places is 0; expected at least 1"),
        ({"service_ms": []}, "has no samples"),
        ({"service_ms": [[1.0], []]}, "has no samples"),
        ({"service_ms": [[0.0]]}, "not above 0"),
    ],
)
def test_a_server_that_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ServerModel(**{"places": 1, "service_ms": [[1.0]], **wrong})
