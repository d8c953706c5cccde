# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a run in check mode: nothing on the nodes is other than it was. And it says what a real run would do."""

import sys
from pathlib import Path

import pytest
from labtest import ADDRESSES
from portscan import scan

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from servicetest import run_role

# Mail, daytime, rpcbind, the web, and what the lab has by itself; 7101 and 7103 are started on demand.
CROWD = {
    "node1": [13, 22, 25, 80, 111, 7100, 7102, 7104, 7105, 7106],
    "node2": [13, 22, 25, 80, 111, 7100, 7102, 7104, 7105, 7106],
    "node3": [13, 22, 25, 80, 111, 7100, 7102, 7104, 7105, 7106],
    "node4": [13, 22, 25, 80, 111, 7106],
}


@pytest.mark.parametrize("name", sorted(CROWD))
def test_everything_still_listens(machines, name):
    address = ADDRESSES[name]["management"]["ipv4"]
    assert scan(machines["outsider"], address) == [CROWD[name], {}, 65535]


def test_there_are_no_files(node):
    for path in ("/var/lib/xensec", "/etc/systemd/system-preset", "/usr/sbin/policy-rc.d"):
        assert not node.file(path).exists
    for path in (
        "/usr/local/share/dbus-1",
        "/etc/systemd/system/lab-own.service.d",
        "/etc/systemd/system/cups.service",
    ):
        assert not node.file(path).exists


def test_what_it_would_do_is_written_down_for_later():
    """test_services.py compares it with what was done."""
    done = run_role("--check", playbook="predict.yml")
    assert done.returncode == 0, done.output
