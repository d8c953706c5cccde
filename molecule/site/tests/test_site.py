# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our roles come into a site's playbook one by one, in any order and any way, and it ends in one state."""

from __future__ import annotations

import os
import random
import socket
import subprocess

import pytest
from labtest import ADDRESSES, LAB, NODES
from restoretest import differences
from sitetest import draw, look, playbook, run, same_in_the_end

# As many orders as fit, others each time; XENSEC_ORDERS=10 tries more, XENSEC_SEED the same ones again.
SEED = os.environ.get("XENSEC_SEED") or str(random.SystemRandom().randrange(10**6))
ORDERS = int(os.environ.get("XENSEC_ORDERS") or 1)
RULES = ("table inet site", "table ip nat", "chain DOCKER-USER", "ip saddr @blocked drop", "chain DOCKER ")


@pytest.fixture(scope="session")
def before(machines):
    """The site alone."""
    return look(machines)


@pytest.fixture(scope="session")
def ends():
    """The nodes as the first order has left them."""
    return []


def answers(node, port):
    try:
        with socket.create_connection((ADDRESSES[node]["management"]["ipv4"], port), timeout=20):
            return True
    except ConnectionRefusedError:
        return False


def logs_in(node, account):
    command = ["ssh", "-F", str(LAB / "ssh_config"), "-o", "BatchMode=yes", "-l", account, node, "true"]
    return subprocess.run(command, capture_output=True, check=False, timeout=120).returncode == 0


def check_theirs(machine, node):
    """The site's things are there, and are gone only where we were told so."""
    rules = machine.check_output("nft list ruleset")
    assert [rule for rule in RULES if rule not in rules] == []
    for unit in ("site-agent", "site-firewall", "chrony"):
        assert machine.check_output(f"systemctl is-active {unit}; systemctl is-enabled {unit}") == "active\nenabled"
    assert machine.run("systemctl is-active leftover").stdout.strip() in ("inactive", "failed")
    people = machine.check_output("getent group people").split(":")[3].split(",")
    assert sorted(people) == ["alice", "bob", "oncall", "ops"]
    assert answers(node, 9100) and not answers(node, 9101)
    assert logs_in(node, "ops")
    for name, closed in {"ops": False, "oncall": False, "alice": True, "bob": True}.items():
        assert machine.check_output("getent passwd %s", name).endswith(("nologin", "false")) is closed, name


@pytest.fixture
def say(capsys):
    def aloud(text):
        with capsys.disabled():
            print(f"  {text}", flush=True)

    return aloud


def check_end(machines, ends):
    """The end is the same as ever, and the site's things are there."""
    ends.append(look(machines))
    assert same_in_the_end(ends[0], ends[-1]) == {}
    for node in NODES:
        check_theirs(machines[node], node)


def same(one, other):
    found = {node: differences(one[node], other[node]) for node in NODES}
    assert not any(found.values()), found
    return True


@pytest.mark.parametrize("number", range(ORDERS))
def test_one_by_one(machines, before, ends, number, say):
    drawn = draw(SEED, number)
    say(f"\n  XENSEC_SEED={SEED}, order {number + 1} of {ORDERS}, one by one")
    for count, addition in enumerate(drawn.additions, 1):
        book = playbook(drawn.roles(count), addition.strategy)
        alone = ("--tags", addition.role)
        if addition.way == "check":
            now = look(machines)
            assert any(run("--check", "--diff", *alone, book).changed.values()), "there was nothing to change"
            assert same(now, look(machines))
        narrowed = {"whole": [()], "limit": [("--limit", node, *alone) for node in NODES]}
        done = [run(*options, book) for options in narrowed.get(addition.way, [alone])]
        changed = {node: number for one in done for node, number in one.changed.items()}
        say(f"{addition}: changed {changed} in {sum(one.seconds for one in done)} s")
        assert set(changed) == set(NODES) and all(changed.values())
    again = run(playbook(drawn.roles(len(drawn.additions)), "linear"))
    say(f"once more: changed {again.changed} in {again.seconds} s")
    assert again.changed == dict.fromkeys(NODES, 0), again.output
    check_end(machines, ends)
    run("xensec.hardening.restore")
    assert same(before, look(machines))


@pytest.mark.parametrize("number", range(ORDERS))
def test_all_at_once(machines, ends, number, say):
    if number:
        run("xensec.hardening.restore")
    drawn = draw(SEED, ORDERS + number)
    roles, strategy = drawn.roles(len(drawn.additions)), drawn.additions[0].strategy
    say(f"\n  XENSEC_SEED={SEED}, order {number + 1} of {ORDERS}, all at once, {strategy}: {', '.join(roles)}")
    assert all(run(playbook(roles, strategy)).changed.values())
    check_end(machines, ends)
