"""Every name is a file's name, and nothing connects to a network."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest

from mostnet.contract import VideoError
from mostnet.video import VideoReader, VideoWriter
from mostnet.video.files.opening import is_address

from ..samples import moving_frames, write_with_av

NAMES = [
    "2024-05-01T12:30:00.mp4",
    "file:1.mp4",
    "file:file:1.mp4",
    "http:1.mp4",
    "pipe:0.mp4",
    "concat:a|b.mp4",
    "subfile,,start,0,end,9,,:x.mp4",
    "data:x.mp4",
    "-dash.mp4",
    "frame%03d.mp4",
    "*.mp4",
    "50% #1 ?.mp4",
    "Zähne 視頻 [1].mp4",
    'it\'s "q".mp4',
    "line\nbreak.mp4",
    os.fsdecode(b"\xff\xfe.mp4"),
    "n" * 251 + ".mp4",
    "é" * 125 + ".mp4",
]
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names that other systems refuse")


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return write_with_av(tmp_path_factory.mktemp("good") / "good.mp4", moving_frames(4))


@LINUX
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_read_and_written(good, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(good, name)
    with VideoReader(name) as reader:
        frames = list(reader)
    assert len(frames) == 4
    Path(name).unlink()
    with VideoWriter(name, 25, frames[0].shape[:2]) as writer:
        for frame in frames:
            writer.write(frame)
    assert os.listdir() == [name]  # noqa: PTH208
    with VideoReader(tmp_path / name) as reader:
        assert len(list(reader)) == 4


@LINUX
def test_names_that_are_too_long(tmp_path):
    path = tmp_path / ("n" * 256 + ".mp4")
    with pytest.raises(VideoError, match=r"cannot be written \(File name too long\); give another name"):
        VideoWriter(path, 25, (64, 64))
    with pytest.raises(VideoError, match=r"cannot be read \(File name too long\)"):
        VideoReader(path)
    assert list(tmp_path.iterdir()) == []


def test_a_title_that_is_not_utf_8(tmp_path):
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "ZAEHNE"
        stream = container.add_stream("libx264", rate=25)
        stream.metadata["title"] = "ZAEHNE"
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for frame in moving_frames(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "bgr24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert data.count(b"ZAEHNE") == 2
    path.write_bytes(data.replace(b"ZAEHNE", "Zöähné".encode("latin-1")))
    with VideoReader(path) as reader:
        assert len(list(reader)) == 3


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/a.mp4",
        "https://a.b/c",
        "rtsp://u:p@h:554/s",
        "udp://@239.0.0.1:1",
        "srt://h:1",
        "RTMP://h/a",
    ],
)
def test_addresses_are_not_read(address):
    for source in (address, Path(address)):
        with pytest.raises(
            VideoError, match=r"an address, and mostnet opens no network connection; .* -f matroska - \|"
        ):
            VideoReader(source)


def test_a_file_in_a_folder_named_like_an_address_is_the_file(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_address("http://h/v.mp4")
    Path("http:/h").mkdir(parents=True)
    shutil.copy(good, "http:/h/v.mp4")
    assert not is_address("http://h/v.mp4")
    with VideoReader("http://h/v.mp4") as reader:
        assert len(list(reader)) == 4


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    """A port, and the connections to it."""
    met: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, peer = server.accept()
                except OSError:
                    return
                met.append(peer)
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], met
        with suppress(OSError):  # wakes the thread on Linux; other systems may refuse
            server.shutdown(socket.SHUT_RDWR)


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "key.m3u8": '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI="http://127.0.0.1:{port}/k"\n'
    "#EXTINF:2,\ngood.ts\n#EXT-X-ENDLIST\n",
    "a.ffconcat": "ffconcat version 1.0\nfile http://127.0.0.1:{port}/a.ts\n",
    "a.mp4": "ffconcat version 1.0\nfile tcp://127.0.0.1:{port}\n",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} TCP/RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("piped", [False, True])
def test_a_playlist_reaches_no_network(tmp_path, listener, name, piped):
    port, met = listener
    write_with_av(tmp_path / "good.ts", moving_frames(10))
    text = PLAYLISTS[name].format(port=port).encode()
    path = tmp_path / name
    if piped:
        os.mkfifo(path)
        threading.Thread(target=path.write_bytes, args=(text,), daemon=True).start()
    else:
        path.write_bytes(text)
    with pytest.raises(VideoError, match="not a video that can be read"):
        VideoReader(path)
    assert met == []


def test_a_playlist_of_files_is_read(tmp_path):
    write_with_av(tmp_path / "good.ts", moving_frames(10))
    path = tmp_path / "a.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\ngood.ts\n#EXT-X-ENDLIST\n")
    with VideoReader(path) as reader:
        assert len(list(reader)) == 10


@LINUX
def test_what_is_no_video(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path in ("/dev/zero", "/dev/null", tmp_path / "socket"):
            with pytest.raises(VideoError, match=r"is a device or socket, not a video; give a video file"):
                VideoReader(path)
    with pytest.raises(VideoError, match="is a folder; give a video file in it, or a folder of pictures"):
        VideoReader(tmp_path)
    with pytest.raises(VideoError, match="no such file"):
        VideoReader("a\0b.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    with pytest.raises(VideoError, match="no such file"):
        VideoReader(tmp_path / "gone.mp4")


_STDIN = "import sys; from mostnet.video import VideoReader; print(len(list(VideoReader(sys.argv[1]))))"


@LINUX
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input(good, name):
    command = [sys.executable, "-c", _STDIN, name]
    with good.open("rb") as file:
        assert subprocess.run(command, stdin=file, capture_output=True, check=True).stdout == b"4\n"
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "is a device or socket, not a video" in done.stderr
    master, terminal = os.openpty()
    done = subprocess.run(command, stdin=terminal, capture_output=True, text=True, check=False)
    assert "is a terminal; pipe a video into it" in done.stderr
    os.close(master)
    os.close(terminal)
