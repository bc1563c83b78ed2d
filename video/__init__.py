"""Video: read files and cameras, run them through an engine, stabilise, draw and write the results."""

from mostnet.video.camera.failsafe import Attempt, FailSafe
from mostnet.video.camera.feed import CameraFeed, LiveFrame, LiveSource
from mostnet.video.camera.source import CameraSource
from mostnet.video.steady.options import StabiliserOptions
from mostnet.video.steady.stabiliser import Stabiliser
from mostnet.video.steady.state import Correction, SteadyState
from mostnet.video.steady.tracking import Tracking

from .flow_colour import FlowScale, flow_picture
from .guards import FreezeGuard, SceneEvent, SceneGuard
from .layouts import LAYOUTS, Layout
from .reader import VideoReader, demo_clip
from .run import IncompleteVideoError, RunSummary, outputs_needed, run
from .writer import VideoWriter

__all__ = [
    "LAYOUTS",
    "Attempt",
    "CameraFeed",
    "CameraSource",
    "Correction",
    "FailSafe",
    "FlowScale",
    "FreezeGuard",
    "IncompleteVideoError",
    "Layout",
    "LiveFrame",
    "LiveSource",
    "RunSummary",
    "SceneEvent",
    "SceneGuard",
    "Stabiliser",
    "StabiliserOptions",
    "SteadyState",
    "Tracking",
    "VideoReader",
    "VideoWriter",
    "demo_clip",
    "flow_picture",
    "outputs_needed",
    "run",
]
