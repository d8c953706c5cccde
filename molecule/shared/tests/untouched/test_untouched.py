# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a run in check mode: nothing on the nodes is other than it was."""

from pathlib import Path

FILES = Path(__file__).resolve().parents[2] / "files"


def test_xend_configuration_is_as_it_was(node):
    assert node.file("/etc/xen/xend-config.sxp").content == (FILES / "xend-config.sxp").read_bytes()


def test_xend_listens_everywhere_as_before(node):
    listening = node.check_output("ss -Hltn 'sport = :8002 or sport = :8003 or sport = :8000'")
    assert sorted(line.split()[3] for line in listening.splitlines()) == [
        "0.0.0.0:8000",
        "0.0.0.0:8002",
        "0.0.0.0:8003",
    ]


def test_there_are_no_rules_and_no_files(node):
    assert node.check_output("nft list ruleset") == ""
    assert not node.file("/etc/xensec").exists
    assert not node.file("/var/lib/xensec").exists
    assert node.run("ls /etc/systemd/system/xensec-*").rc != 0
