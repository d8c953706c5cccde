# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Relocation is off: xl migrate fails at once, and says so."""

import time

from labtest import ADDRESSES, NODES
from xen_guest import goes_on, where


def test_xl_migrate_fails_at_once_and_the_guest_stays_and_runs(machines):
    source = where(machines)
    target = next(node for node in NODES if node != source)
    started = time.monotonic()
    done = machines[source].run(f"timeout 60 xl migrate counter {target}")
    print(f"xl migrate returned {done.rc} after {time.monotonic() - started:.0f} s: {done.stderr.strip()}")
    assert done.rc not in (0, 124)
    assert "xensec: relocation is turned off on this node (untrusted_subnet)" in done.stderr
    assert where(machines) == source
    goes_on(machines[source])


def test_nothing_is_there_to_receive(node):
    assert node.check_output("ss -Hltn 'sport = :8002 or sport = :8003'") == ""
    assert node.run("systemctl cat xensec-relocation.socket").rc != 0
    assert not node.file("/etc/xensec/relocation/keys").exists
    assert 'XENDOMAINS_MIGRATE=""' in node.check_output("cat /etc/default/xendomains")


def test_a_node_that_was_not_told_is_refused_at_once(machines):
    """A peer whose xl goes its old way is let in neither by the port nor by root's ordinary ssh."""
    source = where(machines)
    target = next(node for node in NODES if node != source)
    machines[source].check_output("mv /etc/ssh/ssh_config.d/xensec-relocation.conf /root/")
    try:
        done = machines[source].run(
            f"timeout 60 xl migrate -s 'ssh -o BatchMode=yes -o StrictHostKeyChecking=no' counter "
            f"{ADDRESSES[target]['management']['ipv4']}"
        )
    finally:
        machines[source].check_output("mv /root/xensec-relocation.conf /etc/ssh/ssh_config.d/")
    assert done.rc not in (0, 124)
    assert "Permission denied" in done.stderr
    assert where(machines) == source
    goes_on(machines[source])
