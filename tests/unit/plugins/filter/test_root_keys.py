# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.xensec.hardening.plugins.filter.root_keys import FilterModule

root_keys = FilterModule().filters()["root_keys"]


def test_a_node_that_could_not_be_read_has_no_keys_to_go_by() -> None:
    hosts = {
        "xen1": {"dom0_audit_info": {"root_keys": {"own": ["ssh-ed25519 AAAA"], "admitted": []}}},
        "xen2": {"dom0_audit_info": {"root_keys": {"own": [], "admitted": []}}},
        "xen3": {"dom0_audit_info": {"root_keys": None}},
        "xen4": {"dom0_audit_info": {"unreachable": True}},
        "xen5": {},
        "outsider": {"dom0_audit_info": {"root_keys": {"own": ["ssh-ed25519 BBBB"]}}},
    }
    found = root_keys(hosts, ["xen1", "xen2", "xen3", "xen4", "xen5"])
    assert found == {"xen1": ["ssh-ed25519 AAAA"], "xen2": []}
