"""Moving photographs: clips with exact labels, made on the device that trains."""

from .clips import PhotoClips, PhotoOptions

__all__ = ["PhotoClips", "PhotoOptions"]
