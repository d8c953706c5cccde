# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from ansible_collections.xensec.hardening.plugins.filter.restored import restored

BACK = {"changed": True, "left": []}
SAME = {"changed": False, "left": []}


def test_says_by_host_what_was_given_back_and_what_was_left():
    hosts = {
        "a": {
            "dom0_users_restored_login": BACK,
            "dom0_services_restored": {"changed": False, "left": ["x was enabled"]},
        },
        "b": {"dom0_firewall_restored": SAME},
        "c": {"perimeter_firewall_restored": {"changed": False, "failed": True}},
        "d": {},
    }
    assert restored(hosts, ["a", "b", "c", "d"]) == [
        "a: given back: dom0_users",
        "a: left: x was enabled",
        "b: given back: nothing, it is as it was",
        "1 hosts given back, 1 as they were before, 1 things left as somebody changed them; not done: c, d",
    ]


def test_a_task_that_was_skipped_left_nothing():
    assert restored({"a": {"dom0_firewall_restored": {"skipped": True}}}, ["a"])[-1].startswith("0 hosts given back, 1")
