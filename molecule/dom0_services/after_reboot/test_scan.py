# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine of another network reaches once the nodes have come up again."""

import pytest
from labtest import ADDRESSES, NODES
from portscan import scan


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("name", NODES)
def test_a_full_scan_finds_ssh_and_nothing_else(machines, name, family):
    assert machines[name].run("nft list ruleset | grep -q hook").rc != 0, "a packet filter would hide what listens"
    assert scan(machines["outsider"], ADDRESSES[name]["management"][family]) == [[22], {}, 65535]
