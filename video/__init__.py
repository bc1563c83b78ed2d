"""Video in and out: read files and cameras, run them through an engine, draw and write the results."""

from .flow_colour import FlowScale, flow_picture
from .layouts import LAYOUTS, Layout
from .reader import VideoReader, demo_clip
from .run import IncompleteVideoError, RunSummary, run
from .writer import VideoWriter

__all__ = [
    "LAYOUTS",
    "FlowScale",
    "IncompleteVideoError",
    "Layout",
    "RunSummary",
    "VideoReader",
    "VideoWriter",
    "demo_clip",
    "flow_picture",
    "run",
]
