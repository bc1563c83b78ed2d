"""Activation ranges from video sequences, with state carried from frame to frame, and the graphs made from them."""

from .cache import CacheKey, read_cache, write_cache
from .data import USUAL_FRAMES, CalibrationData
from .half import TensorRange, half_tensors, keep_float32, magnitude_names, tensor_ranges, with_magnitudes
from .histogram import METHODS, Histogram
from .observe import histograms, observe
from .quantise import convolutions, excluded_by, quantise, unsuitable
from .scales import widen_scales
from .states import quantise_states

__all__ = [
    "METHODS",
    "USUAL_FRAMES",
    "CacheKey",
    "CalibrationData",
    "Histogram",
    "TensorRange",
    "convolutions",
    "excluded_by",
    "half_tensors",
    "histograms",
    "keep_float32",
    "magnitude_names",
    "observe",
    "quantise",
    "quantise_states",
    "read_cache",
    "tensor_ranges",
    "unsuitable",
    "widen_scales",
    "with_magnitudes",
    "write_cache",
]
