# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After node3 has left the cluster."""

import pytest
from labtest import ADDRESSES, attempt


@pytest.mark.parametrize("target", ["node1", "node2"])
def test_its_key_and_its_address_get_in_no_more(machines, target):
    done = machines["node3"].run(f"xl migrate guest-node3 {target}")
    assert done.rc != 0
    assert "Connection refused" in done.stderr
    assert "node3" not in machines[target].file("/etc/xensec/relocation/authorized_keys").content_string


def test_the_key_alone_gets_in_no_more(machines):
    """Its key tried from an address that is admitted still."""
    private = machines["node3"].check_output("cat /etc/xensec/relocation/keys/2/id_ed25519")
    machines["node2"].check_output(f"umask 077; printf '%s\\n' '{private}' >/tmp/stolen")
    done = attempt(
        machines["node2"],
        "ssh -F none -i /tmp/stolen -p 8002 -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no "
        f"-o UserKnownHostsFile=/dev/null {ADDRESSES['node1']['management']['ipv4']} id </dev/null",
    )
    assert "Permission denied" in done.stderr
    machines["node2"].check_output("rm /tmp/stolen")


def test_those_that_are_left_go_on(machines):
    machines["node1"].check_output("xl migrate guest-node1 node2")
    machines["node2"].check_output("xl migrate guest-node1 node1")
