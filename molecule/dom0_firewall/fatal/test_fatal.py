# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that would lock the operator out, a second run, and a reboot in the middle of one."""

import subprocess
import time

import pytest
from firewalltest import listing, note, own
from labtest import ADDRESSES, INVENTORY, NODES, converge, killed_afterwards, reboot, ssh

FATAL = {
    "dom0_firewall_management_sources": ["192.0.2.0/24"],
    "dom0_firewall_precheck": False,
    "dom0_firewall_confirm_timeout": 20,
}


def answers(host):
    """Whether a new ssh connection comes through."""
    return ssh(host, "true", "-o", "ConnectTimeout=5", check=False).returncode == 0


def eventually(host, seconds=60):
    """Wait until a new ssh connection comes through again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answers(host):
            return
        time.sleep(1)
    pytest.fail(f"no ssh after {seconds} seconds")


def test_an_address_that_would_be_locked_out_is_refused_beforehand(machines):
    before = {node: listing(machines[node]) for node in NODES}
    done = subprocess.run(
        converge(variables={"dom0_firewall_management_sources": ["192.0.2.0/24"]}),
        capture_output=True,
        text=True,
        check=False,
    )
    own = ADDRESSES["node1"]["management"]["ipv4"].rsplit(".", 1)[0] + ".1"
    assert done.returncode != 0
    assert f"this run comes in from {own}" in done.stdout + done.stderr
    assert {node: listing(machines[node]) for node in NODES} == before


def test_behind_a_jump_host_it_is_the_jump_hosts_address_that_counts():
    controller = ADDRESSES["node1"]["management"]["ipv4"].rsplit(".", 1)[0] + ".1"
    variables = {
        "ansible_ssh_common_args": "-o ProxyJump=gateway1",
        "dom0_firewall_management_sources": [controller],
    }
    done = subprocess.run(converge(variables=variables, limit="node2"), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"this run comes in from {ADDRESSES['gateway1']['management']['ipv4']}" in done.stdout + done.stderr


def test_a_fatal_change_is_taken_back_by_the_host(machines):
    before = {node: listing(machines[node]) for node in NODES}
    done = subprocess.run(converge(variables=FATAL), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode != 0
    assert "the host has taken the rules back by itself" in done.stdout + done.stderr
    assert {node: listing(machines[node]) for node in NODES} == before


def wait_until_loaded(node):
    """Look from inside, since by then ssh does not get through any more."""
    container = INVENTORY["children"]["xen_nodes"]["hosts"][node]["lab_container"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        shown = subprocess.run(
            ["podman", "exec", container, "sh", "-c", "nft list ruleset; iptables-save"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        if "192.0.2.0/24" in shown:
            return
        time.sleep(0.2)
    pytest.fail("the fatal rules were never loaded")


def killed_controller(node):
    """Run the fatal change, and kill the controller as soon as the host has loaded it."""
    with killed_afterwards(converge(variables=FATAL, limit=node)):
        wait_until_loaded(node)


@pytest.mark.parametrize("name", ["node2", "node4", "node5"])
def test_a_killed_controller_locks_nobody_out(machines, name):
    before = listing(machines[name])
    killed_controller(name)
    assert not answers(name), "the change was to be fatal, and is not"
    eventually(name)
    assert listing(machines[name]) == before


def test_a_reboot_before_the_confirmation_comes_up_with_the_old_rules(machines):
    killed_controller("node3")
    reboot("node3")
    shown = machines["node3"].check_output("nft list table inet xensec_dom0")
    assert "192.0.2.0/24" not in shown
    assert "jump refuse" in shown


def test_a_second_run_changes_nothing_and_opens_no_further_connection(machines):
    """Each task is one connection here: the facts, the ruleset, and none to prove what did not change."""
    counting = "journalctl _COMM=sshd _COMM=sshd-session -o cat | grep -c '^Accepted '"
    before = int(machines["node1"].check_output(counting))
    done = subprocess.run(converge(variables={}, limit="node1"), capture_output=True, text=True, check=True)
    after = int(machines["node1"].check_output(counting))
    assert "changed=0" in done.stdout
    # The registration, the facts, the ruleset, and the connection that counts.
    assert after - before == 4


def test_what_the_role_has_loaded_is_noted_for_the_boot(machines):
    loaded = {node: own(machines[node]) for node in NODES}
    for rules in loaded.values():
        assert any("jump refuse" in rule or "-A INPUT -j XENSEC_DOM0" in rule for rule in rules)
    note(loaded)
