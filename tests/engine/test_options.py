"""How an engine may be opened, and what is refused."""

import pytest

from mostnet.engine.options import Options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"outputs": ("depth", "mask")},
            r"unknown outputs \['depth'\]; expected some of \['enhanced', 'flow', 'mask'\]",
        ),
        ({"outputs": "mask"}, r"outputs is the text 'mask'; expected a sequence of names: \('mask',\)"),
        ({"outputs": ()}, "no outputs asked for"),
        (
            {"provider": "tpu"},
            r"unknown provider 'tpu'; expected one of \['auto', 'cpu', 'cuda'\], or 'gpu' for 'cuda'",
        ),
        ({"provider": 1}, "unknown provider 1"),
        ({"provider": "cuda:1"}, "unknown provider 'cuda:1'"),
        ({"device": -1}, "device is -1; expected the number of a GPU, from 0, or None for the first"),
        ({"device": "1"}, "device is '1'; expected a whole number"),
        ({"device": "cuda:0"}, r"device is 'cuda:0'; expected a whole number \(0 for cuda:0\)"),
        ({"device": 0, "provider": "cpu"}, "device is 0, which is a GPU, and provider is 'cpu'; leave one of them out"),
        ({"threads": 0}, "threads is 0; expected at least 1"),
        ({"slots": 1}, "slots is 1; expected at least 2"),
        ({"slots": 2.5}, "slots is 2.5; expected a whole number"),
        ({"timeout_ms": -5}, "timeout_ms is -5"),
        ({"timeout_ms": "10"}, "timeout_ms is '10'; expected a number of milliseconds, or None"),
        ({"timeout_ms": True}, "timeout_ms is True; expected a number"),
        ({"results": "mine"}, r"unknown results 'mine'; expected one of \['owned', 'borrowed', 'device'\]"),
    ],
)
def test_options_out_of_range(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Options(**options)


def test_other_words_for_the_gpu() -> None:
    assert Options(provider="gpu").provider == Options(provider="GPU").provider == "cuda"
    assert Options(provider="CPU").provider == "cpu"
    assert Options(device=0).provider == "cuda", "a GPU that was named is not replaced by the CPU"
