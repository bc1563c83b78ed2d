"""A steady picture from the engine's flow and mask, and how steady a video is."""
