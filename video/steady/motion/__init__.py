"""The motion of the camera between two frames."""
