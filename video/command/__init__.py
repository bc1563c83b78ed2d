"""The parts of ``mostnet-run``: its arguments, its engine, one video, a folder of videos, and what it prints."""
