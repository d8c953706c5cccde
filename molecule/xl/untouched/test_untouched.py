# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a run in check mode: nothing on the nodes is other than it was."""

from labtest import ADDRESSES

LOGIN = "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"


def test_a_node_logs_in_to_another_as_root(machines):
    """As xl has it migrate; what the role takes away."""
    address = ADDRESSES["node1"]["management"]["ipv4"]
    assert machines["node2"].check_output(f"{LOGIN} root@{address} id -u") == "0"


def test_there_are_no_rules_no_keys_and_no_files(node):
    assert node.check_output("nft list ruleset") == ""
    for path in ("/etc/xensec", "/var/lib/xensec", "/etc/ssh/ssh_config.d/xensec-relocation.conf"):
        assert not node.file(path).exists
    assert node.run("ls /etc/systemd/system/xensec-*").rc != 0


def test_nothing_listens_for_relocation(node):
    assert node.check_output("ss -Hltn 'sport = :8002 or sport = :8003'") == ""
