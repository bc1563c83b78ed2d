"""``python -m mostnet.bench.scale.client_cost``."""

import pytest

from mostnet.bench.scale import client_cost
from tests.serve.triton.camera_server import camera_server


def test_every_way_to_fetch_results_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    with camera_server() as server:
        assert client_cost.main(["--address", server.address, "--frames", "2"]) == 0
        fetched = [request[3] for request in server.requests if not request[2]]
        assert (server.sequences, server.regions) == ({}, {})
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 2 * 3 * 2
    assert all(float(row[-1].removesuffix(" ms")) > 0 for row in rows)
    assert len(fetched) == 12 * (2 + 5)
    assert {tuple(outputs) for outputs in fetched} == {(*outputs, "finite") for outputs in client_cost.FETCHES}


def test_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert client_cost.main(["--address", "127.0.0.1:1", "--frames", "2"]) == 1
    assert "mostnet.bench.scale.client_cost: 127.0.0.1:1: the server does not answer" in capsys.readouterr().err
