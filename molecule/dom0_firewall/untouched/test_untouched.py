# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a run in check mode: nothing on the nodes is other than it was."""


def test_there_are_no_rules_and_no_files(node):
    assert "xensec" not in node.check_output("nft list ruleset")
    assert "XENSEC" not in node.check_output("iptables-save; ip6tables-save")
    for folder in ("/etc/xensec", "/var/lib/xensec", "/run/xensec"):
        assert not node.file(folder).exists
    assert node.run("ls /etc/systemd/system/xensec-*").rc != 0
