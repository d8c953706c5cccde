# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our roles come into a site's playbook one by one, in any order and any way, and it ends in one state."""

from __future__ import annotations

import json
import os
import random
import socket

import pytest
from labtest import ADDRESSES, NODES
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


def check_theirs(taken, node):
    """The site's things are there, and are gone only where we were told so."""
    assert [rule for rule in RULES if rule not in "".join(taken["rules"]["nft"])] == []
    for unit in ("site-agent.service", "site-firewall.service", "chrony.service"):
        assert (taken["unit"][f"state {unit}"], taken["unit"][f"file {unit}"]) == ("active", "enabled"), unit
    assert taken["unit"].get("state leftover.service") in (None, "failed")
    assert answers(node, 9100) and not answers(node, 9101)
    groups, accounts = (
        {line.split(":")[0]: line.split(":") for line in taken["account"][kind].splitlines()}
        for kind in ("group", "passwd")
    )
    assert sorted(groups["people"][3].split(",")) == ["alice", "bob", "oncall", "ops"]
    for name, closed in {"ops": False, "oncall": False, "alice": True, "bob": True}.items():
        assert accounts[name][6].endswith(("nologin", "false")) is closed, name


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
        check_theirs(ends[-1][node], node)


def same(one, other):
    found = {node: differences(one[node], other[node]) for node in NODES}
    assert not any(found.values()), found
    return True


def give_back():
    # That a canary goes first is for the scenario restore to show.
    return run("--extra-vars", json.dumps({"harden_serial": ["100%"]}), "xensec.hardening.restore")


@pytest.mark.parametrize("number", range(ORDERS))
def test_one_by_one(machines, before, ends, number, say):
    drawn = draw(SEED, number)
    say(f"\n  XENSEC_SEED={SEED}, order {number + 1} of {ORDERS}, one by one")
    for count, addition in enumerate(drawn.additions, 1):
        book = playbook(drawn.roles(count), addition.strategy)
        alone = ("--tags", addition.role)
        if addition.way == "check":
            now = look(machines)
            looked = run("--check", "--diff", *alone, book)
            assert any(looked.changed.values()), "there was nothing to change"
            assert same(now, look(machines))
            say(f"{addition}: would change {looked.changed} in {looked.seconds} s")
        narrowed = {"whole": [()], "limit": [("--limit", node, *alone) for node in NODES]}
        done = [run(*options, book) for options in narrowed.get(addition.way, [alone])]
        changed = {node: number for one in done for node, number in one.changed.items()}
        say(f"{addition}: changed {changed} in {sum(one.seconds for one in done)} s")
        assert set(changed) == set(NODES) and all(changed.values())
    check_end(machines, ends)
    given = give_back()
    say(f"restore: changed {given.changed} in {given.seconds} s")
    assert same(before, look(machines))


@pytest.mark.parametrize("number", range(ORDERS))
def test_all_at_once(machines, ends, number, say):
    """In another order, and then once more in that of one by one: what one has made, the other finds in order."""
    if number:
        give_back()
    drawn, other = draw(SEED, ORDERS + number), draw(SEED, number)
    roles, strategy = drawn.roles(len(drawn.additions)), drawn.additions[0].strategy
    say(f"\n  XENSEC_SEED={SEED}, order {number + 1} of {ORDERS}, all at once, {strategy}: {', '.join(roles)}")
    done = run(playbook(roles, strategy))
    say(f"all at once: changed {done.changed} in {done.seconds} s")
    assert set(done.changed) == set(NODES) and all(done.changed.values())
    check_end(machines, ends)
    again = run(playbook(other.roles(len(other.additions)), "linear"))
    say(f"once more: changed {again.changed} in {again.seconds} s")
    assert again.changed == dict.fromkeys(NODES, 0), again.output
