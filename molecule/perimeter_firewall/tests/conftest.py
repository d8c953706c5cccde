# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateways, one after the other."""

import pytest
from forged import GATEWAYS
from labtest import ADDRESSES


@pytest.fixture(scope="module", params=GATEWAYS)
def gateway(request, machines):
    """A gateway, with the routes of everybody leading through it."""
    try:
        lead_through(machines, request.param)
        yield request.param
    finally:
        lead_through(machines, GATEWAYS[0])


def lead_through(machines, gateway):
    for name in ("node1", "node2", "node3", "guest1", "outsider"):
        via = ADDRESSES[gateway][next(iter(ADDRESSES[name]))]
        machines[name].check_output(
            f"ip -4 route replace default via {via['ipv4']}; ip -6 route replace default via {via['ipv6']}"
        )
