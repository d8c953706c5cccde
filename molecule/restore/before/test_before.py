# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write down what every machine is before anything is changed, and see that two looks at it agree."""

import json

import pytest
from restoretest import MACHINES, differences, path_of, snapshot


@pytest.mark.parametrize("host", MACHINES)
def test_a_machine_at_rest_does_not_differ_from_itself(machines, host):
    taken = snapshot(machines[host])
    path_of(host).write_text(json.dumps(taken))
    assert differences(taken, snapshot(machines[host])) == {}
