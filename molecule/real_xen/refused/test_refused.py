# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody but the other node gets a guest in."""

import shlex

import pytest
from labtest import ADDRESSES, SSH_FAILED, attempt

STRANGER = (
    "-F none -p 8002 -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=10 "
    "-o UserKnownHostsFile=/dev/null"
)


def relocation_address(machine):
    """Where the node's relocation service listens."""
    (socket,) = machine.check_output("ss -Hltn 'sport = :8002' | awk '{print $4}'").split()
    return socket.rpartition(":")[0]


def test_an_outsider_with_the_nodes_keys_gets_in_nowhere(machines):
    """All that root on a node has to log in with: the relocation key, and the ordinary ssh's host key for good measure."""
    outsider = machines["outsider"]
    stolen = "/etc/xensec/relocation/keys/1/id_ed25519", "/etc/ssh/ssh_host_ed25519_key"
    for path in stolen:
        private = machines["xen2"].check_output(f"cat {path}")
        outsider.check_output(f"umask 077; echo {shlex.quote(private)} >/tmp/stolen")
        for families in ADDRESSES["xen1"].values():
            for address in families.values():
                done = attempt(
                    outsider, f"timeout 30 ssh {STRANGER} -i /tmp/stolen root@{address} xl migrate-receive </dev/null"
                )
                assert done.rc == SSH_FAILED
                assert "refused" in done.stderr or "unreachable" in done.stderr or "timed out" in done.stderr, (
                    done.stderr
                )
    outsider.check_output("rm /tmp/stolen")


def test_a_peer_gets_in_over_the_right_network_alone(machines):
    xen1, xen2 = machines["xen1"], machines["xen2"]
    right = relocation_address(xen1)
    for families in ADDRESSES["xen1"].values():
        address = families["ipv4"]
        done = attempt(xen2, f"ssh {STRANGER} -i /etc/xensec/relocation/keys/1/id_ed25519 root@{address} id </dev/null")
        if address == right:
            assert (done.rc, done.stdout) == (126, "")
        else:
            assert done.rc == SSH_FAILED
            assert "Connection refused" in done.stderr


@pytest.mark.parametrize("command", ["id", "xl list", "xl migrate-receive -r", "xl migrate-receive; id", ""])
def test_a_peer_runs_nothing_but_what_xl_sends(machines, command):
    service = "-F /etc/xensec/relocation/ssh_config"
    done = machines["xen1"].run(f"ssh {service} xen2 {shlex.quote(command)} </dev/null")
    assert (done.rc, done.stdout) == (126, "")
