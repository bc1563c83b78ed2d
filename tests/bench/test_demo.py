"""The demo's command line; ``make demo`` itself takes minutes."""

from __future__ import annotations

import pytest

from mostnet.bench import demo


def _unwanted(arguments: list[str]) -> int:
    pytest.fail(f"the demo ran: {arguments}")


@pytest.mark.parametrize(
    ("argument", "status", "says"),
    [("--help", 0, "usage: python -m mostnet.bench.demo"), ("--quick", 2, "unrecognized arguments: --quick; ")],
)
def test_asking_for_help_runs_nothing(argument, status, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["demo", argument])
    monkeypatch.setattr(demo, "export_main", _unwanted)
    with pytest.raises(SystemExit) as caught:
        demo.main()
    assert caught.value.code == status
    printed = capsys.readouterr()
    assert says in printed.out + printed.err
    assert list(tmp_path.iterdir()) == []
