# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After new keys were made by one run, with a guest on the move all the time."""

from labtest import NODES


def test_there_was_no_moment_in_which_migration_failed(machines):
    assert int(machines["node1"].check_output("wc -l </run/lab-watch.count")) > 5
    assert machines["node1"].run("cat /run/lab-watch.failed").stdout == ""


def test_the_old_keys_are_gone_everywhere(node):
    assert node.check_output("ls /etc/xensec/relocation/keys") == "2"
    for name in ("authorized_keys", "known_hosts"):
        text = node.file(f"/etc/xensec/relocation/{name}").content_string
        assert len([line for line in text.splitlines() if not line.startswith("#")]) == len(NODES) - 1
    assert "keys/2/host_ed25519" in node.check_output("cat /etc/xensec/relocation/sshd_config")
    assert "keys/1/" not in node.check_output("cat /etc/xensec/relocation/ssh_config")


def test_it_still_works(machines):
    machines["node2"].check_output("xl migrate guest-node2 node3 && ssh -G node3 >/dev/null")
    machines["node3"].check_output("xl migrate guest-node2 node2")
