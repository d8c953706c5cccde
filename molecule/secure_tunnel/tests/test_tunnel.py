# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xend is reached through one ssh forward, and through that ssh nothing else is."""

import shlex

import pytest
from labtest import ADDRESSES, NODES, SSH_FAILED, attempt

SERVICE = "-F /etc/xensec/relocation/ssh_config"
# What xend, or whoever answers, says first.
FIRST = "import socket; c = socket.create_connection(('{}', {}), 5); print(c.recv(16)[:6])"


def first_words(machine, address, port):
    return machine.run(f"python3 -c {shlex.quote(FIRST.format(address, port))}").stdout.strip()


@pytest.mark.parametrize(("source", "target"), [("node1", "node2"), ("node2", "node3"), ("node3", "node1")])
def test_the_forward_leads_to_the_other_nodes_xend(machines, source, target):
    machine = machines[source]
    forward = f"ssh {SERVICE} -N -o ExitOnForwardFailure=yes -L 18002:127.0.0.1:8002 {target}"
    machine.check_output(f"systemd-run --quiet --collect --unit=tunnel {forward}")
    try:
        machine.check_output("for i in $(seq 50); do ss -Hltn 'sport = :18002' | grep -q . && break; sleep 0.1; done")
        assert first_words(machine, "127.0.0.1", 18002) == r"b'ready\n'"
    finally:
        machine.check_output("systemctl stop tunnel")


@pytest.mark.parametrize("target", ["127.0.0.1:22", "127.0.0.1:8003", "[::1]:8002", "node:8002", "other:22"])
def test_nothing_else_can_be_reached(machines, target):
    own, other = (ADDRESSES[host]["front"]["ipv4"] for host in ("node2", "node3"))
    target = target.replace("node", own).replace("other", other)
    done = attempt(machines["node1"], f"ssh {SERVICE} -W {target} node2 </dev/null")
    assert done.rc != 0
    assert "administratively prohibited" in done.stderr


def test_nothing_listens_over_there_and_nothing_runs(machines):
    node1 = machines["node1"]
    for what in ("-R 9999:127.0.0.1:22", "-w any"):
        assert attempt(node1, f"timeout 20 ssh {SERVICE} -o ExitOnForwardFailure=yes -N {what} node2").rc == SSH_FAILED
    for command in ("id", "xl migrate-receive", ""):
        done = node1.run(f"ssh {SERVICE} node2 {shlex.quote(command)} </dev/null")
        assert (done.rc, done.stdout) == (126, "")
        assert done.stderr.strip() == "xensec: refused, this key is for a forward to 127.0.0.1:8002 alone"


def test_what_answers_on_the_network_is_ssh(machines):
    for host in NODES[1:]:
        assert first_words(machines["node1"], ADDRESSES[host]["front"]["ipv4"], 8002) == "b'SSH-2.'"


def test_a_key_is_good_from_its_owners_address_alone(machines):
    private = machines["node3"].check_output("cat /etc/xensec/relocation/keys/1/id_ed25519")
    machines["node2"].check_output(f"umask 077; echo {shlex.quote(private)} >/tmp/stolen")
    done = attempt(
        machines["node2"],
        "ssh -F none -i /tmp/stolen -p 8002 -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no "
        f"-o UserKnownHostsFile=/dev/null -W 127.0.0.1:8002 {ADDRESSES['node1']['front']['ipv4']} </dev/null",
    )
    machines["node2"].check_output("rm /tmp/stolen")
    assert "Permission denied" in done.stderr


def test_the_ordinary_ssh_goes_where_it_went(node):
    assert not node.file("/etc/ssh/ssh_config.d/xensec-relocation.conf").exists
