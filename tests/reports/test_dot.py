"""The network for Graphviz: whole, and text from devices stays inside its quotes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from reports import dot
from scanner.model import Assessment
from tests.reports.payloads import PAYLOADS

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def test_every_node_cable_and_place_is_there(plant: Assessment) -> None:
    text = dot.render(plant.topology)

    assert text.startswith("graph network {")
    assert text.endswith("}\n")
    assert 'label="PLC-11 (127.30.0.2)"' in text
    assert re.search(r'n2 -- n3 \[taillabel="Gi1/8", headlabel="\?", style=dashed\];', text)
    assert 'n2 -- n0 [taillabel="Gi1/1"];' in text


@pytest.mark.parametrize("payload", [*PAYLOADS, '"]; evil [URL="x', "\\", '\\"', "a\nb"])
def test_text_from_devices_never_leaves_its_quotes(payload: str, plant: Assessment) -> None:
    nodes = tuple(replace(node, name=payload) for node in plant.topology.nodes)
    links = tuple(replace(link, a_port=payload) for link in plant.topology.links)
    harmless = dot.render(plant.topology)

    text = dot.render(replace(plant.topology, nodes=nodes, links=links))

    assert text.count("\n") == harmless.count("\n")
    bare = [STRING.sub("S", line) for line in text.splitlines()]
    assert bare == [STRING.sub("S", line) for line in harmless.splitlines()]
