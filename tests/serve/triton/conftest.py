"""A camera server for each test."""

from collections.abc import Iterator

import pytest

from .camera_server import CameraServer, camera_server


@pytest.fixture
def service() -> Iterator[CameraServer]:
    with camera_server() as server:
        yield server
