# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every door, tried for real: only the operators get in."""

import json
import subprocess

import pytest
from doortest import ALLOWED, EVERYBODY, by_key, every_door_everywhere, login_name, root_on
from labtest import LAB, NODES


@pytest.mark.parametrize("node", NODES)
def test_nobody_but_the_operators_gets_in(node):
    others = [name for name in EVERYBODY if name not in ALLOWED[node]]
    found = {name: doors for name, doors in every_door_everywhere(EVERYBODY)[node].items() if name in others}
    # A process with uid 0 is root's, whatever the account is called: what root may do is no door of that account's.
    beyond = {"toor": {"at", "crontab", "su from it"}}
    still = {
        account: sorted(door for door in doors if doors[door] and door not in beyond.get(account, ()))
        for account, doors in found.items()
    }
    assert still == {account: [] for account in others}


@pytest.mark.parametrize("node", [node for node in NODES if "ops" in ALLOWED[node]])
def test_an_operator_gets_in_by_key_and_becomes_root(node):
    doors = every_door_everywhere(EVERYBODY)[node]["ops"]
    shut = {door for door in doors if not doors[door]}
    # Nobody of the others can be switched to; over ssh keys are the one way.
    assert shut == {"ssh password", "su from it"}


@pytest.mark.parametrize("node", NODES)
def test_root_gets_in_where_the_operator_is_root(node):
    assert by_key(node, "root") == (login_name(node) == "root")
    effective = root_on(node).check_output("sshd -T -C user=root,host=x,addr=127.0.0.1 | grep -i ^permitrootlogin")
    assert effective.split()[1] in (["without-password", "prohibit-password"] if login_name(node) == "root" else ["no"])


@pytest.mark.parametrize("node", NODES)
def test_root_gets_in_on_the_console(node):
    assert json.loads(root_on(node).check_output("python3 /usr/local/sbin/doors try '[\"root\"]'"))["root"]["login"]


@pytest.mark.parametrize("node", NODES)
def test_nothing_is_forwarded(node):
    user = login_name(node)
    done = subprocess.run(
        ["ssh", "-F", str(LAB / "ssh_config"), "-o", "LogLevel=INFO", "-l", user, "-W", "127.0.0.1:22", node],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "administratively prohibited" in done.stderr
