# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After relocation was turned off: no unit, no keys, no port, and xl says so."""

import json


def test_xl_fails_at_once_and_says_why_and_the_guest_stays(machines):
    for target in ("node2", "192.0.2.1"):
        done = machines["node1"].run(f"timeout 5 xl migrate guest-node1 {target}")
        assert done.rc not in (0, 124)
        assert "xensec: relocation is turned off on this node (untrusted_subnet)" in done.stderr
    assert "guest-node1" in machines["node1"].check_output("xl list").split()


def test_there_is_no_unit_no_key_and_no_port(node):
    assert node.run("systemctl cat xensec-relocation.socket").rc != 0
    assert not node.file("/etc/xensec/relocation/keys").exists
    assert not node.file("/etc/xensec/relocation/authorized_keys").exists
    assert node.check_output("ss -Hltn 'sport = :8002 or sport = :8003'") == ""
    assert node.run("pgrep -f xensec-relocation").rc != 0


def test_xendomains_moves_nothing_at_shut_down_and_the_original_is_on_record(node):
    text = node.file("/etc/default/xendomains").content_string
    assert text == '# Where guests go at shut-down.\nXENDOMAINS_MIGRATE="" # all\nXENDOMAINS_SAVE=/var/lib/xen/save\n'
    record = json.loads(node.file("/var/lib/xensec/xl_relocation.json").content_string)
    assert "content" in record["files"]["/etc/default/xendomains"]


def test_the_ordinary_ssh_goes_where_it_went(node):
    configuration = node.check_output("ssh -G node2").splitlines()
    assert not any(line.startswith("proxycommand") for line in configuration)
