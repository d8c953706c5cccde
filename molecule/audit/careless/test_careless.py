# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before hardening: what the audit finds on careless nodes, and that it leaves them as they are."""

import sys
from pathlib import Path

from labtest import NODES

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from audittest import audit, failing, play, snapshot

FOUND = {
    "firewall-boot",
    "firewall-default-ipv4",
    "firewall-default-ipv6",
    "firewall-guests",
    "relocation-bound",
    "relocation-guarded-ipv4",
    "relocation-guarded-ipv6",
    "relocation-listeners",
    "ssh-agent-and-x11",
    "ssh-forwarding",
    "ssh-passwords",
    "xend-hosts-allow",
    "xend-http-server",
    "xend-relocation-address",
    "xend-repeated-options",
    "xend-tcp-xmlrpc-server",
    "xend-xen-api",
}


def test_it_finds_what_is_careless_and_changes_nothing(machines):
    before = snapshot(machines)
    results, predicted = audit(), audit("--check")
    assert sorted(snapshot(machines) ^ before) == []
    assert predicted == results
    for node in NODES:
        # Which units of a release nothing needs differs between releases.
        assert failing(results[node]) - {"services-needed"} == FOUND
        assert not [result for result in results[node].values() if result["status"] == "error"]


def test_the_playbook_fails_in_check_mode_too():
    for extra in ([], ["--check"]):
        done = play("xensec.hardening.audit", *extra, limit="node2")
        assert done.returncode != 0
        assert "FAIL critical xend-xen-api: The Xen-API does not listen on TCP without authentication" in done.output
        assert "changed=0" in done.output
