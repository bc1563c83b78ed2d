"""Stabilise the picture with the engine's flow and mask, and measure how steady a video is."""
