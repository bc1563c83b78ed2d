"""Deinterlace the pictures that are marked as interlaced."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph

_LOG = logging.getLogger(__name__)

#: FFmpeg's bwdif: one frame for each frame, made only from pictures that are marked as interlaced.
_FILTER = ("bwdif", "mode=send_frame:deint=interlaced")


class Deinterlacer:
    """Passes pictures on as they are until one is interlaced; from then on all go through a filter, one picture late.

    Each picture keeps its time stamp.
    """

    def __init__(self, name: str) -> None:
        """``name`` is the file, for the message."""
        self._name = name
        self._graph: Graph | None = None
        self._kind: tuple[int, int, str] | None = None
        self._stamps: deque[int | None] = deque()

    @property
    def is_on(self) -> bool:
        """Whether a picture was interlaced so far."""
        return self._graph is not None

    def feed(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Take the next decoded picture and yield those that are done."""
        if self._graph is None and not picture.interlaced_frame:
            yield picture
            return
        kind = (picture.width, picture.height, picture.format.name)
        if kind != self._kind:
            yield from self.flush()
            self._start(picture, kind)
        assert self._graph is not None
        self._stamps.append(picture.pts)
        self._graph.push(picture)
        yield from self._pull()

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yield the pictures that wait for later ones."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()

    def _start(self, picture: av.VideoFrame, kind: tuple[int, int, str]) -> None:
        if self._graph is None:
            _LOG.warning("%s: the video is interlaced; it is deinterlaced, one frame for each frame", self._name)
        graph = Graph()
        source = graph.add_buffer(
            width=picture.width,
            height=picture.height,
            format=picture.format,
            time_base=picture.time_base or Fraction(1, 1000),
        )
        graph.link_nodes(source, graph.add(*_FILTER), graph.add("buffersink")).configure()
        self._graph, self._kind = graph, kind

    def _pull(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        while self._stamps:
            try:
                picture = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            picture.pts = self._stamps.popleft()
            yield picture
