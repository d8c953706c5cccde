# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.xensec.hardening.plugins.filter.reachability import FilterModule as ReachabilityFilters
from ansible_collections.xensec.hardening.plugins.filter.relocation_targets import FilterModule as TargetsFilters
from ansible_collections.xensec.hardening.plugins.plugin_utils.reachability import is_admitted

reachability = ReachabilityFilters().filters()["reachability"]
relocation_targets = TargetsFilters().filters()["relocation_targets"]

NODES = ["node1", "node2"]
Hosts = dict[str, dict[str, Any]]


def node(number: int, peer: int, **more: Any) -> dict[str, Any]:
    """A node with a management network, where its one peer may connect, and a front one."""
    addresses = [{"address": f"192.0.2.{number}", "prefix": 24}]
    return {
        "xend_relocation_info": {
            "interfaces": {
                "management0": {"ipv4": [{"address": f"198.51.100.{number}", "prefix": 24}], "ipv6": []},
                "front0": {"ipv4": addresses, "ipv6": [{"address": f"2001:db8::{number}", "prefix": 64}]},
            }
        },
        "xend_relocation_plan": {
            "scenario": "isolated_management",
            "address": f"198.51.100.{number}",
            "ports": [8002],
            "guarded_ports": [8002, 8003],
            "peers": {f"node{peer}": f"198.51.100.{peer}"},
            "sources": [f"198.51.100.{peer}"],
        },
        **more,
    }


def cluster() -> Hosts:
    return {"node1": node(1, 2), "node2": node(2, 1), "outsider": {}}


def answer(target: dict[str, Any], state: str, source: str | None) -> dict[str, Any]:
    return {**target, "state": state, "source": source, "reason": None, "detail": "", "milliseconds": 1.0}


def probe(hosts: Hosts, source: str, number: int) -> list[dict[str, Any]]:
    """What a machine finds where every node keeps to its plan."""
    results = []
    for target in relocation_targets(hosts, NODES, source):
        own = "198.51.100" if target["address"].startswith("198.51.100") else "192.0.2"
        own = "2001:db8:" if ":" in target["address"] else own
        address = f"{own}{':' if ':' in own else '.'}{number}"
        plan = hosts[target["name"]]["xend_relocation_plan"]
        admitted = is_admitted(plan, address, target["address"], target["port"])
        results.append(answer(target, "open" if admitted else "rejected", address))
    hosts[source]["dom0_audit_probe"] = {"results": results}
    return results


def probed() -> Hosts:
    hosts = cluster()
    for source, number in (("node1", 1), ("node2", 2), ("outsider", 50)):
        probe(hosts, source, number)
    return hosts


def result_of(hosts: Hosts, source: str, address: str, port: int) -> dict[str, Any]:
    results = hosts[source]["dom0_audit_probe"]["results"]
    (found,) = [item for item in results if (item["address"], item["port"]) == (address, port)]
    assert isinstance(found, dict)
    return found


def test_targets_are_every_port_on_every_address_of_the_others() -> None:
    assert relocation_targets(cluster(), NODES, "node1") == [
        {"name": "node2", "address": address, "port": port}
        for address in ("192.0.2.2", "2001:db8::2", "198.51.100.2")
        for port in (8002, 8003)
    ]
    assert len(relocation_targets(cluster(), NODES, "outsider")) == 12


def test_a_node_without_a_plan_is_no_target() -> None:
    hosts = cluster()
    del hosts["node2"]["xend_relocation_plan"]
    assert relocation_targets(hosts, NODES, "node1") == []
    assert {target["name"] for target in relocation_targets(hosts, NODES, "outsider")} == {"node1"}


PLAN = {"address": "192.0.2.1", "ports": [8002, 8003], "sources": ["192.0.2.2", "192.0.2.128/25"]}
ADMITTED = [
    ("192.0.2.2", "192.0.2.1", 8002, True),
    ("192.0.2.2", "192.0.2.1", 8003, True),
    ("192.0.2.128", "192.0.2.1", 8002, True),
    ("192.0.2.3", "192.0.2.1", 8002, False),
    ("192.0.2.127", "192.0.2.1", 8002, False),
    ("192.0.2.2", "198.51.100.1", 8002, False),
    ("192.0.2.2", "192.0.2.1", 8000, False),
    ("2001:db8::2", "192.0.2.1", 8002, False),
    ("", "192.0.2.1", 8002, False),
    (None, "192.0.2.1", 8002, False),
]


@pytest.mark.parametrize(("source", "address", "port", "expected"), ADMITTED)
def test_is_admitted(source: str, address: str, port: int, expected: bool) -> None:
    assert is_admitted(PLAN, source, address, port) == expected
    assert not is_admitted({**PLAN, "ports": [], "sources": [], "address": ""}, source, address, port)


def test_a_cluster_as_planned() -> None:
    assert reachability(probed(), ["node1", "node2", "outsider"], NODES) == {
        "tried": 24,
        "open": 2,
        "refused": 22,
        "surprises": [],
        "unreached": [],
        "lines": [
            "from \\ to  node1               node2",
            "node1      -                   1 open, 5 rejected",
            "node2      1 open, 5 rejected  -",
            "outsider   6 rejected          6 rejected",
        ],
        "summary": "24 relocation paths tried from 3 machines: 2 open, 22 refused, 0 not as planned",
    }


def test_answers_may_come_as_json() -> None:
    hosts, sources = probed(), ["node1", "node2", "outsider"]
    result_of(hosts, "outsider", "192.0.2.1", 8002).update(state="open")
    result_of(hosts, "node2", "2001:db8::1", 8002).update(source=None)
    expected = reachability(hosts, sources, NODES)
    for variables in hosts.values():
        variables["dom0_audit_probe"] = {"results_json": json.dumps(variables["dom0_audit_probe"]["results"])}
    assert reachability(hosts, sources, NODES) == expected
    assert (len(expected["surprises"]), expected["unreached"]) == (1, [])


SURPRISES = [
    # (from, address, port, state found, address it came from, what is said)
    (
        "outsider",
        "192.0.2.1",
        8002,
        "open",
        "192.0.2.50",
        "outsider (192.0.2.50) to node1 192.0.2.1 port 8002: open, should be refused under isolated_management",
    ),
    ("node2", "192.0.2.1", 8002, "open", "192.0.2.2", "should be refused"),
    ("node2", "198.51.100.1", 8003, "open", "198.51.100.2", "port 8003: open, should be refused"),
    ("node2", "2001:db8::1", 8002, "open", "2001:db8::2", "2001:db8::1 port 8002: open, should be refused"),
    ("node2", "198.51.100.1", 8002, "open", "192.0.2.2", "node2 (192.0.2.2) to node1"),
    ("node2", "198.51.100.1", 8002, "rejected", "198.51.100.2", "port 8002: rejected, should be open"),
    ("node2", "198.51.100.1", 8002, "filtered", "198.51.100.2", "filtered, should be open"),
    ("node2", "198.51.100.1", 8002, "unreachable", None, "(no address) to node1 198.51.100.1 port 8002: unreachable"),
]


@pytest.mark.parametrize(("source", "address", "port", "state", "own", "words"), SURPRISES)
def test_a_path_that_is_not_as_planned(
    source: str, address: str, port: int, state: str, own: str | None, words: str
) -> None:
    hosts = probed()
    result_of(hosts, source, address, port).update(state=state, source=own)
    found = reachability(hosts, ["node1", "node2", "outsider"], NODES)
    (surprise,) = found["surprises"]
    assert words in surprise
    assert found["summary"].endswith("1 not as planned")
    assert found["open"] + found["refused"] == found["tried"] == 24


NO_SURPRISES = [
    ("outsider", "192.0.2.1", "filtered", "192.0.2.50"),
    ("outsider", "198.51.100.1", "unreachable", None),
    ("node2", "2001:db8::1", "unreachable", None),
]


@pytest.mark.parametrize(("source", "address", "state", "own"), NO_SURPRISES)
def test_closed_is_closed_whichever_way(source: str, address: str, state: str, own: str | None) -> None:
    hosts = probed()
    result_of(hosts, source, address, 8002).update(state=state, source=own)
    found = reachability(hosts, ["node1", "node2", "outsider"], NODES)
    assert found["surprises"] == []
    assert any(f"1 {state}" in line for line in found["lines"])


@pytest.mark.parametrize("result", [None, {}, {"unreachable": True}, {"failed": True, "msg": "no Python"}])
def test_a_machine_that_did_not_answer_is_said_to_be_unreached(result: dict[str, Any] | None) -> None:
    hosts = probed()
    hosts["outsider"]["dom0_audit_probe"] = result
    found = reachability(hosts, ["node1", "node2", "outsider"], NODES)
    assert found["unreached"] == ["outsider"]
    assert found["lines"][-1] == "outsider   not tried           not tried"
    assert found["summary"] == (
        "12 relocation paths tried from 2 machines: 2 open, 10 refused, 0 not as planned; not reached: outsider"
    )


RESULT = '{"name": "node1", "address": "192.0.2.1", "port": 8002, "state": "open", "source": "192.0.2.50"}'
FORGED = [
    "[",
    "[" * 100_000,
    "5",
    "{}",
    "[]",
    "[5]",
    f"[{RESULT}]",
    *(
        RESULT.replace(before, after)
        for before, after in [
            ('"node1"', '"nobody"'),
            ('"node1"', '"outsider"'),
            ('"node1"', '["node1"]'),
            ('"192.0.2.1"', '"192.0.2.77"'),
            ("8002", "1"),
            ("8002", '"x"'),
            ("8002", "Infinity"),
            ("8002", "[8002]"),
            ('"open"', '"x"'),
            ('"open"', '["open"]'),
            ('"192.0.2.50"', '"x"'),
            ('"192.0.2.50"', "5"),
            (', "source": "192.0.2.50"', ""),
        ]
    ),
]


@pytest.mark.parametrize("forged", FORGED, ids=lambda text: text[:100])
def test_answers_that_are_none_to_what_was_asked_are_as_good_as_no_answer(forged: str) -> None:
    hosts = probed()
    honest = [json.dumps(result) for result in hosts["outsider"]["dom0_audit_probe"]["results"]]
    if forged.startswith("{"):
        (place,) = [index for index, text in enumerate(honest) if '"192.0.2.1", "port": 8002' in text]
        forged = f"[{', '.join([*honest[:place], forged, *honest[place + 1 :]])}]"
    hosts["outsider"]["dom0_audit_probe"] = {"results_json": forged}
    found = reachability(hosts, ["node1", "node2", "outsider"], NODES)
    assert (found["unreached"], found["tried"], found["surprises"]) == (["outsider"], 12, [])


def test_the_same_answer_in_its_true_form_counts() -> None:
    hosts = probed()
    result_of(hosts, "outsider", "192.0.2.1", 8002).update(json.loads(RESULT))
    found = reachability(hosts, ["node1", "node2", "outsider"], NODES)
    assert (found["unreached"], found["tried"], len(found["surprises"])) == ([], 24, 1)


def test_nodes_that_are_asked_for_may_be_fewer_than_were_tried() -> None:
    found = reachability(probed(), ["node1", "outsider"], ["node1"], NODES)
    assert (found["unreached"], found["tried"]) == ([], 18)


def test_a_node_that_could_not_be_read_is_said_to_be_unreached() -> None:
    hosts = cluster()
    hosts["node2"] = {}
    probe(hosts, "outsider", 50)
    found = reachability(hosts, ["outsider"], NODES)
    assert found["unreached"] == ["node2"]
    assert found["tried"] == 6
    assert found["lines"] == ["from \\ to  node1       node2", "outsider   6 rejected  not tried"]


def test_nothing_to_try_is_no_error() -> None:
    found = reachability({}, [], [])
    assert (found["tried"], found["lines"], found["unreached"]) == (0, ["from \\ to"], [])
