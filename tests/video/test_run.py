"""A whole video through an engine."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mostnet.contract import DeviceError, OutputMissingError, VideoError
from mostnet.video import IncompleteVideoError, StabiliserOptions, VideoReader, run
from mostnet.video.run import outputs_needed

from .camera.fakes import FRAMES, FakeCamera, Screen, ScriptedEngine
from .samples import FakeEngine, damage_packet, moving_frames, psnr, write_with_av


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_with_av(tmp_path_factory.mktemp("clip") / "clip.mp4", moving_frames(40), fps=Fraction(30000, 1001))


def _read(path) -> list[np.ndarray]:
    with VideoReader(path) as reader:
        return list(reader)


def test_summary_and_file(clip, tmp_path):
    engine, calls = FakeEngine(heal=(3, 17)), []
    summary = run(clip, engine, tmp_path / "o.mp4", progress=lambda done, total: calls.append((done, total)))
    assert (summary.frames, summary.heals, summary.stopped) == (40, 2, False)
    assert summary.fps == Fraction(30000, 1001)
    assert summary.output == tmp_path / "o.mp4"
    assert summary.speed_fps == pytest.approx(40 / summary.elapsed_s)
    assert calls == [(k, 40) for k in range(1, 41)]
    assert (engine.resets, engine.closed_streams) == (1, 1)
    with VideoReader(tmp_path / "o.mp4") as reader:
        assert (reader.fps, reader.size_hw, reader.frame_count) == (Fraction(30000, 1001), (96, 128), 40)
        assert [time for time, _ in reader.timed()] == [k / reader.fps for k in range(40)]


def test_each_result_is_beside_its_own_frame(clip, tmp_path):
    run(clip, FakeEngine((96, 128)), tmp_path / "o.mp4", layout="side-by-side")
    originals, pictures = _read(clip), _read(tmp_path / "o.mp4")
    for original, picture in zip(originals, pictures, strict=True):
        left, right = picture[24:, :128], picture[24:, 128:]
        assert psnr(left, original[24:]) > 32
        assert psnr(right, 255 - original[24:]) > 32


def test_results_come_back_at_the_video_s_size(clip, tmp_path):
    run(clip, FakeEngine((64, 80)), tmp_path / "o.mp4")
    picture, original = _read(tmp_path / "o.mp4")[10], _read(clip)[10]
    assert psnr(picture, 255 - original) > 24


@pytest.mark.parametrize("layout", ["enhanced", "side-by-side", "flow", "mask", "grid"])
def test_every_layout_runs(clip, tmp_path, layout):
    summary = run(clip, FakeEngine(), tmp_path / "o.mp4", layout=layout, frames=5)
    assert summary.frames == len(_read(tmp_path / "o.mp4")) == 5


def test_flow_is_shown_in_pixels_of_the_video(clip, tmp_path):
    run(clip, FakeEngine((64, 64)), tmp_path / "o.mp4", layout="flow", frames=5, flow_max_px=16.0)
    blue = _read(tmp_path / "o.mp4")[4][60, 60, 0]
    assert int(blue) == pytest.approx(255 * (1 - 4 * 2 / 16), abs=6), "frame 4 moves 4 px in the engine, 8 in the video"


def test_a_cut_resets_the_engine_before_its_frame(tmp_path):
    class Recording(FakeEngine):
        def reset(self):
            super().reset()
            self.at.append(self.frames)

        def _output(self, k, frame, timestamp):
            self.frames = k + 1
            return super()._output(k, frame, timestamp)

    other = [frame[::-1, ::-1] for frame in moving_frames(10)]
    clip = write_with_av(tmp_path / "v.mp4", [*moving_frames(10), *other])
    engine = Recording()
    engine.frames, engine.at = 0, []
    summary = run(clip, engine, tmp_path / "o.mp4")
    assert engine.at == [0, 10]
    assert (summary.resets, summary.frames) == (1, 20)


def test_neither_file_nor_window_is_refused(clip):
    with pytest.raises(ValueError, match="output and window are both None"):
        run(clip, FakeEngine(), None)


@pytest.mark.parametrize("lookahead", [None, 0, 5])
def test_a_window_alone_is_enough_and_closing_it_ends_the_run(clip, lookahead):
    class Screen:
        closed, shown = False, 0

        def show(self, picture):
            self.shown += 1
            self.closed = self.shown == 7

        def close(self):
            self.closed = True

    screen = Screen()
    options = None if lookahead is None else StabiliserOptions(lookahead=lookahead)
    summary = run(clip, FakeEngine(), None, window=screen, stabilise=options)
    assert (summary.output, summary.frames, summary.stopped) == (None, 7, True)
    assert screen.shown == 7, "the frames that wait are not drawn for nobody"


def test_original_needs_only_what_the_stabiliser_needs():
    assert outputs_needed("original", stabilise=True) == ("flow", "mask")
    with pytest.raises(ValueError, match="layout 'original' shows the input, moved by the stabiliser; give stabilise="):
        outputs_needed("original", stabilise=False)


def test_without_a_stabiliser_a_layout_needs_what_it_draws():
    assert outputs_needed("grid") == ("enhanced", "flow", "mask")
    assert outputs_needed("mask") == ("mask",)


class _Bare(FakeEngine):
    """Gives the mask alone, and no frame may reach it."""

    outputs = ("mask",)

    def stream(self, frames):
        pytest.fail("a frame was asked for")


@pytest.mark.parametrize("layout", ["enhanced", "original", "side-by-side", "grid"])
def test_one_error_names_all_outputs_that_layout_and_stabiliser_need(clip, tmp_path, layout):
    needed = re.escape(repr(outputs_needed(layout, stabilise=True)))
    with pytest.raises(OutputMissingError, match=rf"the engine gives no .*flow; open the Engine with outputs={needed}"):
        run(clip, _Bare(), tmp_path / "o.mp4", layout=layout, stabilise=StabiliserOptions(lookahead=2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", ["flow", "mask"])
def test_a_layout_that_shows_nothing_steadied_is_refused_with_a_stabiliser(clip, tmp_path, layout):
    with pytest.raises(ValueError, match=f"layout '{layout}' shows no picture that is steadied; expected one of enh"):
        run(clip, FakeEngine(), tmp_path / "o.mp4", layout=layout, stabilise=StabiliserOptions())
    with pytest.raises(ValueError, match="or no stabiliser"):
        outputs_needed(layout, stabilise=True)
    assert list(tmp_path.iterdir()) == []


def test_a_path_for_the_engine_and_a_name_for_the_settings_are_refused(clip, tmp_path):
    with pytest.raises(
        TypeError, match=r"engine is the path 'model.onnx'; expected an open engine: Engine\('model.onnx"
    ):
        run(clip, "model.onnx", tmp_path / "o.mp4")
    with pytest.raises(
        TypeError, match=r"stabilise is 'hand'; expected None or settings such as StabiliserOptions\('ha"
    ):
        run(clip, FakeEngine(), tmp_path / "o.mp4", stabilise="hand")
    assert list(tmp_path.iterdir()) == []


def test_original_without_a_stabiliser_is_refused(clip, tmp_path):
    with pytest.raises(ValueError, match="give stabilise="):
        run(clip, FakeEngine(), tmp_path / "o.mp4", layout="original")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fps", "lookahead"), [(Fraction(10), 30), (Fraction(30000, 1001), 30), (Fraction(50), 50), (Fraction(120), 60)]
)
def test_a_file_is_read_a_second_ahead(tmp_path, fps, lookahead):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(70), fps=fps)
    summary = run(path, FakeEngine(), tmp_path / "o.mp4", stabilise=StabiliserOptions(lookahead=7), read_ahead=True)
    assert summary.stabilise == StabiliserOptions(lookahead=lookahead, fps=float(fps))
    assert summary.frames == len(_read(tmp_path / "o.mp4")) == 70


def test_without_read_ahead_the_look_ahead_is_as_given(clip, tmp_path):
    options = StabiliserOptions(steady="vibration", lookahead=7)
    summary = run(clip, FakeEngine(), tmp_path / "o.mp4", stabilise=options)
    assert summary.stabilise == replace(options, fps=30000 / 1001)
    assert run(clip, FakeEngine(), tmp_path / "o.mp4", frames=2).stabilise is None


def test_a_camera_is_not_read_ahead(monkeypatch):
    camera = FakeCamera(list(FRAMES[:5]))
    monkeypatch.setattr("mostnet.video.camera.live.CameraSource", lambda number: camera)
    screen = Screen()
    options = StabiliserOptions(lookahead=7)
    engine = ScriptedEngine([])
    summary = run(0, engine, None, window=screen, frames=3, stabilise=options, read_ahead=True)
    assert summary.stabilise == StabiliserOptions(lookahead=0, fps=25)
    assert summary.frames == 3


def test_odd_source(tmp_path):
    write_with_av(tmp_path / "v.mkv", moving_frames(5, (97, 131)), codec="ffv1")
    run(tmp_path / "v.mkv", FakeEngine(), tmp_path / "o.mp4")
    assert _read(tmp_path / "o.mp4")[0].shape == (98, 132, 3)


def test_a_cut_video_gives_what_it_has_and_then_an_error(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(60), movflags="faststart")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(IncompleteVideoError, match=r"damaged at frame \d+ \(.* s\).* frames are in .*o\.mp4") as caught:
        run(path, FakeEngine(), tmp_path / "o.mp4")
    assert isinstance(caught.value, VideoError)
    assert 20 < caught.value.summary.frames < 50
    assert len(_read(tmp_path / "o.mp4")) == caught.value.summary.frames


def test_a_hole_is_a_pause_and_what_follows_stays_in_step(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(60))
    damage_packet(path, 24)
    with pytest.raises(IncompleteVideoError, match=r"5\d of 60 frames could be read") as caught:
        run(path, FakeEngine(), tmp_path / "o.mp4")
    assert caught.value.summary.frames < 60
    with VideoReader(tmp_path / "o.mp4") as reader:
        times = [time for time, _ in reader.timed()]
    assert len(times) == caught.value.summary.frames
    assert float(times[-1]) == pytest.approx(59 / 25, abs=2e-3)


@pytest.mark.parametrize("ended_by", ["frames", "stop"])
def test_an_early_end_reports_damage_before_it(tmp_path, ended_by):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(60))
    damage_packet(path, 24)
    done = []
    early = {"frames": {"frames": 40}, "stop": {"stop": lambda: len(done) >= 40}}[ended_by]
    with pytest.raises(IncompleteVideoError, match=r"damaged at frame 2\d .* 40 frames are in") as caught:
        run(path, FakeEngine(), tmp_path / "o.mp4", progress=lambda n, _: done.append(n), **early)
    assert (caught.value.summary.frames, caught.value.summary.stopped) == (40, ended_by == "stop")
    assert len(_read(tmp_path / "o.mp4")) == 40


def test_stop_keeps_what_is_done(clip, tmp_path):
    done = []
    summary = run(
        clip, FakeEngine(), tmp_path / "o.mp4", progress=lambda n, _: done.append(n), stop=lambda: len(done) >= 7
    )
    assert (summary.frames, summary.stopped) == (7, True)
    assert len(_read(tmp_path / "o.mp4")) == 7


def test_an_error_of_the_engine_comes_through_and_the_file_plays(clip, tmp_path):
    class Failing(FakeEngine):
        def _output(self, k, frame, timestamp):
            if k == 12:
                raise RuntimeError("the device is gone")
            return super()._output(k, frame, timestamp)

    with pytest.raises(RuntimeError, match="the device is gone"):
        run(clip, Failing(), tmp_path / "o.mp4")
    assert len(_read(tmp_path / "o.mp4")) == 10


def test_arguments_are_checked_before_any_work(clip, tmp_path):
    engine = FakeEngine()
    with pytest.raises(
        ValueError, match=r"unknown layout 'tiles'; expected one of enhanced, original, side-by-side, flow, mask, grid"
    ):
        run(clip, engine, tmp_path / "o.mp4", layout="tiles")
    with pytest.raises(ValueError, match="frames is 0"):
        run(clip, engine, tmp_path / "o.mp4", frames=0)
    with pytest.raises(VideoError, match="there is no folder"):
        run(clip, engine, tmp_path / "none" / "o.mp4")
    assert engine.resets == 0


def test_the_video_is_not_overwritten_by_its_own_result(tmp_path):
    path = write_with_av(tmp_path / "v.mp4", moving_frames(5))
    before = path.read_bytes()
    with pytest.raises(VideoError, match="is the input video; give another name"):
        run(path, FakeEngine(), tmp_path / "." / "v.mp4")
    assert path.read_bytes() == before


class _FailingEngine(FakeEngine):
    """Fails at the eleventh frame."""

    def stream(self, frames):
        yield from itertools.islice(super().stream(frames), 10)
        raise DeviceError("the device is gone")


@pytest.mark.parametrize("lookahead", [0, 4, 30])
def test_an_engine_that_fails_keeps_the_frames_that_wait_for_later_ones(clip, tmp_path, lookahead):
    options = StabiliserOptions(lookahead=lookahead)
    with pytest.raises(DeviceError, match="the device is gone"):
        run(clip, _FailingEngine(), tmp_path / "o.mp4", stabilise=options)
    assert len(_read(tmp_path / "o.mp4")) == 10
