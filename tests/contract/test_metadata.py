"""Descriptions survive a round trip, and a bad one is refused with its fault named."""

from __future__ import annotations

import json

import pytest

from mostnet.contract import Metadata, ModelFileError, PlanInfo, StatePair

GRAPH = Metadata(
    variant="nano",
    size_hw=(480, 640),
    precision="fp16",
    opset=19,
    trained=True,
    states=(StatePair("hidden4", (1, 8, 120, 160), "float16"),),
    checkpoint_sha256="c" * 64,
    tools={"torch": "2.13.0"},
)
PLAN = PlanInfo(
    **{name: getattr(GRAPH, name) for name in Metadata.__dataclass_fields__},
    plan_sha256="p" * 64,
    flavour="rtx",
    tensorrt_version="1.7.1",
    targets=("sm_86", "sm_120"),
)


@pytest.mark.parametrize("described", [GRAPH, PLAN], ids=["graph", "plan"])
def test_round_trip(described: Metadata) -> None:
    assert type(described).from_json(described.to_json(), source="x") == described


def edited(**changes: object) -> str:
    values = {**json.loads(PLAN.to_json()), **changes}
    return json.dumps({name: value for name, value in values.items() if value != "DROP"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "model.plan.json: its description is not JSON"),
        ("[1]", "is not a JSON object"),
        (edited(format_version=2), "description format 2, this mostnet reads 1"),
        (edited(format_version="DROP"), "description format None"),
        (edited(flavour="DROP"), r"missing fields \['flavour'\]"),
        (edited(colour="red"), r"unknown fields \['colour'\]"),
        (edited(size_hw=[480]), "ill-formed description"),
        (edited(states=[{"name": "hidden4"}]), "ill-formed description"),
        (edited(targets=7), "ill-formed description"),
        (edited(opset="new"), "ill-formed description"),
        (edited(trained="no"), "ill-formed description"),
        (edited(variant=None), "ill-formed description: variant is None"),
        (edited(precision="int4"), "ill-formed description: precision is 'int4'"),
        (edited(size_hw="48"), "ill-formed description: size_hw is '48'"),
        (edited(size_hw=[480.5, 640]), "ill-formed description: size_hw"),
        (edited(size_hw=[-1, 640]), "ill-formed description: size_hw"),
        (edited(states=[{"name": 5, "shape": [1], "dtype": "float16"}]), "ill-formed description: states"),
        (edited(states=[{"name": "x", "shape": [1], "dtype": 7}]), "ill-formed description: states"),
        (edited(targets="sm_86"), "ill-formed description: targets is 'sm_86'"),
        ("[" * 100_000, "its description is not JSON"),
    ],
)
def test_bad_descriptions(text: str, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        PlanInfo.from_json(text, source="model.plan.json")


def test_state_pairs_name_their_tensors() -> None:
    pair = GRAPH.states[0]
    assert (pair.input.name, pair.output.name) == ("state_in_hidden4", "state_out_hidden4")
    assert pair.output.nbytes == 8 * 120 * 160 * 2
