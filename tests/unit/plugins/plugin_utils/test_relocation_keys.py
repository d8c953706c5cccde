# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys a node is given, and when its old ones go."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.xensec.hardening.plugins.filter.relocation_keys import FilterModule
from ansible_collections.xensec.hardening.plugins.filter.relocation_nodes import relocation_nodes

relocation_keys = FilterModule().filters()["relocation_keys"]
NODES = {"node1": "192.0.2.11", "node2": "192.0.2.12", "node3.example": "192.0.2.13"}


class Cluster:
    """Nodes that make keys, serve, retire and settle in turn, as the role has them do."""

    def __init__(self, generation: int = 1) -> None:
        self.hostvars: dict[str, dict[str, Any]] = {name: {} for name in NODES}
        self.nodes: dict[str, dict[str, Any]] = {name: {"generations": {}, "accepts": [], "pins": []} for name in NODES}
        self.generation = generation
        self.read: list[dict[str, Any]] = []
        self.planned: dict[str, Any] = {}

    def plan(self, host: str) -> dict[str, Any]:
        peers = {name: address for name, address in NODES.items() if name != host}
        return {"peers": peers, "ssh": {"generation": self.generation}}

    def exchange(self, host: str, planned: bool = False) -> dict[str, Any]:
        """As the role does it: what was known when the run planned serves peers, and never tells which keys can go."""
        nodes = self.planned if planned else {}
        found: dict[str, Any] = relocation_keys(self.hostvars, host, self.plan(host), self.read, nodes)
        return found

    def register(self, host: str, variable: str) -> None:
        self.hostvars[host][variable] = copy.deepcopy(self.nodes[host])

    def make_keys(self, host: str, variable: str = "xend_relocation_keys") -> None:
        number = str(self.generation)
        self.nodes[host]["generations"][number] = {"client": f"c {host} {number}", "host": f"h {host} {number}"}
        self.register(host, variable)

    def serve(self, host: str, variable: str = "xend_relocation_served") -> None:
        peers = self.exchange(host, planned=variable == "xend_relocation_served")["peers"]
        self.nodes[host]["accepts"] = [key for peer in peers for key in peer["keys"]]
        self.nodes[host]["pins"] = [key for peer in peers for key in peer["host_keys"]]
        self.register(host, variable)

    def retire(self, host: str) -> bool:
        due: bool = self.exchange(host)["retire"]
        if due:
            generations = self.nodes[host]["generations"]
            self.nodes[host]["generations"] = {str(self.generation): generations[str(self.generation)]}
            self.serve(host, "xend_relocation_retired")
        return due

    def new_run(self) -> None:
        """Forget all but what is read at its start."""
        self.hostvars = {
            host: {"xend_relocation_info": {"interfaces": {}, "relocation": copy.deepcopy(node)}}
            for host, node in self.nodes.items()
        }
        self.planned = relocation_nodes(self.hostvars, list(NODES))

    def works(self) -> bool:
        """Whether every node gets in everywhere: with any of its keys, and known by the eldest of the other's."""

        def one(source: str, target: str) -> bool:
            offered = [item["client"] for item in self.nodes[source]["generations"].values()]
            eldest = min(self.nodes[target]["generations"], key=int)
            return (
                any(key in self.nodes[target]["accepts"] for key in offered)
                and self.nodes[target]["generations"][eldest]["host"] in self.nodes[source]["pins"]
            )

        return all(one(source, target) for source in NODES for target in NODES if source != target)


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    for host in NODES:
        made.make_keys(host)
    for host in NODES:
        made.serve(host)
    assert made.works()
    made.new_run()
    return made


def test_a_rotation_is_over_in_one_run_and_works_all_the_time(cluster: Cluster) -> None:
    cluster.generation = 2
    for host in NODES:
        cluster.make_keys(host)
        assert cluster.works()
    for host in NODES:
        cluster.serve(host)
        assert cluster.works()
        # Before the last node knows the new keys, nobody gives up the old ones.
        assert cluster.exchange("node1")["retire"] == (host == list(NODES)[-1])
    # What one retires the others have to forget, so all of them are told ahead of that.
    assert all(cluster.exchange(host, planned=True)["rotating"] for host in NODES)
    for host in NODES:
        assert cluster.retire(host)
        assert cluster.works()
    for host in NODES:
        if cluster.exchange(host)["stale"]:
            cluster.serve(host, "xend_relocation_settled")
        assert cluster.works()
    for host in NODES:
        assert not cluster.exchange(host)["stale"]
        assert not cluster.exchange(host)["retire"]
        assert not cluster.exchange(host)["rotating"]
        assert not any(key.endswith(" 1") for key in cluster.nodes[host]["accepts"] + cluster.nodes[host]["pins"])


def test_a_peer_that_does_not_know_the_new_keys_keeps_the_old_ones_alive(cluster: Cluster) -> None:
    cluster.generation = 2
    for host in NODES:
        cluster.make_keys(host)
    for host in ("node1", "node2"):
        cluster.serve(host)
    # node3 knows nobody's new keys yet.
    assert not cluster.retire("node1")
    assert not cluster.retire("node2")
    assert cluster.works()


def test_a_rotation_that_was_broken_off_is_brought_to_its_end(cluster: Cluster) -> None:
    cluster.generation = 2
    cluster.make_keys("node1")
    for host in ("node1", "node2"):
        cluster.serve(host)
    cluster.new_run()
    for host in ("node2", "node3.example"):
        cluster.make_keys(host)
    for host in NODES:
        cluster.serve(host)
        assert cluster.works()
    assert all(cluster.exchange(host, planned=True)["rotating"] for host in NODES)
    assert all(cluster.retire(host) for host in NODES)
    for host in NODES:
        cluster.serve(host, "xend_relocation_settled")
        assert not any(key.endswith(" 1") for key in cluster.nodes[host]["accepts"] + cluster.nodes[host]["pins"])
    assert cluster.works()


def test_nothing_is_due_where_nothing_changes(cluster: Cluster) -> None:
    for host in NODES:
        found = cluster.exchange(host)
        assert (found["retire"], found["stale"], found["rotating"]) == (False, False, False)
        # And no peer has been looked at to find that out.
        others = {name: variables if name == host else {} for name, variables in cluster.hostvars.items()}
        assert relocation_keys(others, host, cluster.plan(host), nodes=cluster.planned) == found


def test_a_node_that_left_is_let_in_no_more(cluster: Cluster) -> None:
    plan = cluster.plan("node1")
    del plan["peers"]["node2"]
    found = relocation_keys(cluster.hostvars, "node1", plan)
    assert [peer["name"] for peer in found["peers"]] == ["node3.example"]
    assert found["stale"] and found["rotating"]


def test_a_peer_has_every_name_of_the_inventory(cluster: Cluster) -> None:
    cluster.hostvars["node3.example"]["ansible_host"] = "10.0.0.3"
    peers = {peer["name"]: peer["names"] for peer in cluster.exchange("node1")["peers"]}
    assert peers == {
        "node2": ["node2", "192.0.2.12"],
        "node3.example": ["node3.example", "node3", "10.0.0.3", "192.0.2.13"],
    }


def test_peers_that_could_pass_for_each_other_are_let_in_by_no_key(cluster: Cluster) -> None:
    plan = cluster.plan("node1")
    plan["peers"] = dict.fromkeys(plan["peers"], "192.0.2.12")
    found = relocation_keys(cluster.hostvars, "node1", plan)
    assert [(peer["keys"], peer["host_keys"]) for peer in found["peers"]] == [([], []), ([], [])]
    # What was let in before goes.
    assert found["stale"]
    # One machine under two names is none to mistake for another.
    cluster.hostvars["node3.example"] = cluster.hostvars["node2"]
    found = relocation_keys(cluster.hostvars, "node1", plan)
    assert [peer["keys"] for peer in found["peers"]] == [["c node2 1"], ["c node2 1"]]
    # Nor is one that has no keys.
    cluster.hostvars["node3.example"] = {}
    found = relocation_keys(cluster.hostvars, "node1", plan)
    assert [peer["keys"] for peer in found["peers"]] == [["c node2 1"], []]


def test_a_short_name_that_two_nodes_share_is_neithers(cluster: Cluster) -> None:
    plan = {
        "peers": {"a.east": "192.0.2.1", "a.west": "192.0.2.2", "192.0.2.77": "192.0.2.77"},
        "ssh": {"generation": 1},
    }
    peers = relocation_keys({**cluster.hostvars, "a.east": {}, "a.west": {}}, "node1", plan)["peers"]
    assert [peer["names"] for peer in peers] == [["a.east", "192.0.2.1"], ["a.west", "192.0.2.2"], ["192.0.2.77"]]
    assert all(peer["keys"] == [] and peer["host_keys"] == [] for peer in peers)


def test_keys_come_from_what_this_run_learnt_last(cluster: Cluster) -> None:
    newer = {"generations": {"2": {"client": "c new", "host": "h new"}}, "accepts": [], "pins": []}
    cluster.hostvars["node2"]["xend_relocation_keys"] = {"skipped": True, "changed": False}
    assert cluster.exchange("node1")["peers"][0]["keys"] == ["c node2 1"]
    cluster.hostvars["node2"]["xend_relocation_served"] = newer
    assert cluster.exchange("node1")["peers"][0]["keys"] == ["c new"]


def test_a_peer_read_by_this_node_alone_is_known(cluster: Cluster) -> None:
    info = cluster.hostvars["node2"].pop("xend_relocation_info")
    assert cluster.exchange("node1")["peers"][0]["keys"] == []
    cluster.read = [{"xend_relocation_peer": "node2", **info}]
    assert cluster.exchange("node1")["peers"][0]["keys"] == ["c node2 1"]


def test_a_peer_that_could_not_be_read_is_no_error(cluster: Cluster) -> None:
    del cluster.hostvars["node2"]["xend_relocation_info"]
    cluster.read = [{"xend_relocation_peer": "node2", "unreachable": True}]
    assert cluster.exchange("node1")["peers"][0]["host_keys"] == []
