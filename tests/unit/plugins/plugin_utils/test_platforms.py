# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A platform that nothing was run on is refused by every role that plans, before it plans."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter.dom0_firewall_plan import dom0_firewall_plan
from ansible_collections.xensec.hardening.plugins.filter.dom0_users_plan import dom0_users_plan
from ansible_collections.xensec.hardening.plugins.filter.perimeter_firewall_plan import perimeter_firewall_plan
from ansible_collections.xensec.hardening.plugins.filter.relocation_plan import relocation_plan
from ansible_collections.xensec.hardening.plugins.filter.service_policy import service_policy
from ansible_collections.xensec.hardening.plugins.plugin_utils import platforms

ROLES = Path(__file__).resolve().parents[4] / "roles"
# The settings and facts lack all the rest: whoever looks at it first ends with a KeyError.
PLANS = {
    "dom0_firewall": lambda settings, facts: dom0_firewall_plan(settings, "node1", facts),
    "dom0_users": lambda settings, facts: dom0_users_plan(settings, "node1", facts),
    "dom0_services": service_policy,
    "perimeter_firewall": lambda settings, facts: perimeter_firewall_plan(settings, "gateway1", facts),
    "xend_relocation": lambda settings, facts: relocation_plan(settings, "node1", facts, {}),
}
UNTRIED: list[dict[str, Any]] = [
    {"id": "fedora", "like": [], "name": "Fedora Linux 41"},
    {"id": "rocky", "like": ["rhel", "centos", "fedora"], "name": "Rocky Linux 9.4"},
    {"id": "opensuse-leap", "like": ["suse", "opensuse"], "name": "openSUSE Leap 15.6"},
    {"id": "alpine", "like": [], "name": "Alpine Linux v3.20"},
]


@pytest.mark.parametrize("platform", UNTRIED, ids=lambda platform: platform["id"])
@pytest.mark.parametrize("role", PLANS)
def test_every_role_refuses_it_first_and_names_it_and_the_remedy(role: str, platform: dict[str, Any]) -> None:
    said = rf"is {platform['name']} \({platform['id']}\), .* {role}_untried_platforms: true"
    with pytest.raises(AnsibleFilterError, match=said):
        PLANS[role]({"untried_platforms": False}, {"platform": platform})


@pytest.mark.parametrize("role", PLANS)
def test_one_that_does_not_say_what_it_is_is_refused_too(role: str) -> None:
    for facts in ({}, {"platform": None}, {"platform": {"id": "", "like": [], "name": ""}}):
        with pytest.raises(AnsibleFilterError, match="does not say what it is"):
            PLANS[role]({"untried_platforms": False}, facts)


@pytest.mark.parametrize("role", PLANS)
def test_it_goes_on_where_the_operator_says_so_and_in_no_other_words(role: str) -> None:
    with pytest.raises(KeyError):
        PLANS[role]({"untried_platforms": True}, {"platform": UNTRIED[0]})
    with pytest.raises(AnsibleFilterError, match=f"{role}_untried_platforms='yes' is not a boolean"):
        PLANS[role]({"untried_platforms": "yes"}, {"platform": UNTRIED[0]})


@pytest.mark.parametrize("name, like", [("debian", []), ("devuan", ["debian"]), ("ubuntu", ["debian"])])
@pytest.mark.parametrize("role", PLANS)
def test_debian_and_what_is_made_from_it_is_not(role: str, name: str, like: list[str]) -> None:
    with pytest.raises(KeyError):
        PLANS[role]({"untried_platforms": False}, {"platform": {"id": name, "like": like, "name": name}})


def test_the_roles_claim_no_platform_that_is_refused() -> None:
    claimed = {
        item["name"].lower()
        for path in ROLES.glob("*/meta/main.yml")
        for item in yaml.safe_load(path.read_text())["galaxy_info"]["platforms"]
    }
    assert claimed == set(platforms.TRIED)
    # The audit's control is data, and says the same.
    controls = (ROLES.parent / "plugins/plugin_utils/controls.yml").read_text()
    (expression,) = re.findall(r"expression: (platform\..*)", controls)
    assert set(re.findall(r"'(\w+)'", expression)) == set(platforms.TRIED)


def test_the_readme_names_the_families_that_are_tried_and_those_that_are_not() -> None:
    readme = (ROLES.parent / "README.md").read_text()
    rows = dict(re.findall(r"^\| ([A-Z][\w ]+) \| (tried|untried)\b", readme, re.M))
    assert {family.lower() for family, said in rows.items() if said == "tried"} == set(platforms.TRIED)
    assert {family for family, said in rows.items() if said == "untried"} == {
        "Fedora",
        "Enterprise Linux",
        "SUSE",
        "Alpine",
    }


def test_the_readme_has_what_the_matrix_runs_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROLES.parent / "molecule/matrix"))
    matrix = importlib.import_module("matrix")
    readme = (ROLES.parent / "README.md").read_text()
    (written,) = re.findall(r"^\| host \|.*\n(?:\|.*\n)+", readme, re.M)
    assert written.splitlines() == matrix.table()
    # Each core can be installed as it was tried, and each column has something to it.
    for core in matrix.CORES:
        pinned = (ROLES.parent / f"requirements-core-{core}.txt").read_text()
        assert re.search(rf"^ansible-core=={re.escape(core)}\.\d+$", pinned, re.M)
        assert matrix.nodes(core)
    assert {core for variables in matrix.NODES.values() for core in variables.get("matrix_cores", [])} <= set(
        matrix.CORES
    )


def test_the_oldest_core_of_the_matrix_is_the_one_that_is_required() -> None:
    cores = yaml.safe_load((ROLES.parent / "molecule/matrix/lab/cores.yml").read_text())
    required = yaml.safe_load((ROLES.parent / "meta/runtime.yml").read_text())["requires_ansible"]
    assert required == f">={min(cores)}.0"
