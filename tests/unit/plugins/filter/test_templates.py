# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says stays text: ansible-core before 2.19 renders what is kept of a filter's result, where it looks like a
template, and one of those can run any program on the controller."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.xensec.hardening.plugins.filter.audit_report import audit_report
from ansible_collections.xensec.hardening.plugins.filter.reachability import reachability
from ansible_collections.xensec.hardening.plugins.filter.relocation_nodes import relocation_nodes
from ansible_collections.xensec.hardening.plugins.filter.relocation_targets import relocation_targets
from ansible_collections.xensec.hardening.plugins.filter.root_keys import root_keys
from ansible_collections.xensec.hardening.plugins.filter.service_policy import service_policy

try:
    from ansible.template import trust_as_template
except ImportError:
    trust_as_template = str

TEMPLATE = "{{ 6 * 7 }}"
Hosts = dict[str, dict[str, Any]]


def cluster() -> Hosts:
    """A node and a machine that answer with a template wherever they can."""
    said = {"name": "node1", "address": TEMPLATE, "port": 8002, "state": "open", "source": "192.0.2.9"}
    return {
        "node1": {
            "xend_relocation_info": {
                "interfaces": {TEMPLATE: {"ipv4": [{"address": TEMPLATE, "prefix": 24}], "ipv6": []}},
                "toolstack": {"detected": TEMPLATE, "evidence": [TEMPLATE]},
                "root_keys": {"own": [TEMPLATE], "admitted": [{"path": TEMPLATE, "comment": TEMPLATE}]},
            },
            "xend_relocation_plan": {
                "scenario": "isolated_management",
                "address": "192.0.2.1",
                "ports": [8002],
                "guarded_ports": [8002],
                "peers": {},
                "sources": [],
            },
            "dom0_audit_info": {"root_keys": {"own": [TEMPLATE]}},
            "dom0_audit_results": [{"id": "a", "status": "fail", "evidence": [TEMPLATE], "expected": TEMPLATE}],
        },
        "outsider": {"dom0_audit_probe": {"results": [said]}},
    }


def report(hosts: Hosts) -> Any:
    # The networks of a node are parsed, so a template among them is an error that ends the report.
    hosts["node1"]["xend_relocation_info"]["interfaces"] = {}
    control = {key: "a" for key in ("id", "title", "why", "remedy")} | {"severity": "high"}
    return audit_report(
        hosts,
        hosts=list(hosts),
        nodes=["node1"],
        gateways=[],
        probes=["outsider"],
        catalogue=[control],
        previous=None,
        generated="2026-11-26T09:00:00Z",
        version="0.1.0",
    )


KEPT: dict[str, Callable[[Hosts], Any]] = {
    "audit_report": report,
    "reachability": lambda hosts: reachability(hosts, ["outsider"], ["node1"]),
    "relocation_nodes": lambda hosts: relocation_nodes(hosts, ["node1"]),
    "relocation_targets": lambda hosts: relocation_targets(hosts, ["node1"]),
    "root_keys": lambda hosts: root_keys(hosts, ["node1"]),
}


def service_plan(facts: dict[str, Any]) -> Any:
    settings = {"action": "report", "toolstack": "auto", "preset": False, "untried_platforms": True}
    return service_policy(
        {**settings, **{key: [] for key in ("keep", "stop", "kernel_ports", "purge_packages")}}, facts
    )


# Answers without a single text but in names: ansible-core before 2.19 does not see them go in.
FORGED = {
    "service_policy": lambda: service_plan({"toolstack": {"detected": {TEMPLATE: 1}, "libvirt": False}}),
}


@pytest.mark.parametrize("name", FORGED)
def test_names_are_no_templates_either(name: str) -> None:
    later = Templar(loader=DataLoader(), variables={"kept": FORGED[name]()}).template(trust_as_template("{{ kept }}"))
    assert TEMPLATE in json.dumps(later)


def test_every_filter_says_what_its_result_is() -> None:
    """Those of syntax alone, which are used in place and never kept, are left out."""
    folder = Path(__file__).resolve().parents[4] / "plugins/filter"
    texts = {path.stem: path.read_text() for path in folder.glob("*.py")}
    assert sorted(name for name, text in texts.items() if "as_text(" not in text) == [
        "audit_junit",
        "audit_page",
        "control_catalogue",
        "firewall_registration",
        "from_sxp",
        "strict_networks",
        "to_sxp",
        "xend_hosts_allow",
    ]


@pytest.mark.parametrize("name", KEPT)
def test_what_a_host_said_is_no_template(name: str) -> None:
    found = KEPT[name](cluster())
    later = Templar(loader=DataLoader(), variables={"kept": found}).template(trust_as_template("{{ kept }}"))
    assert TEMPLATE in json.dumps(later)
    assert "42" not in json.dumps(later)
