"""Activation ranges from video sequences, and the Q/DQ graph they make. Empty until the calibration release."""
