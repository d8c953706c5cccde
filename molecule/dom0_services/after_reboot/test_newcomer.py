# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that is installed afterwards: it does not start by itself, and the next run catches it."""

import sys
from pathlib import Path

import pytest
from labtest import ADDRESSES, NODES
from portscan import scan

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from servicetest import SYSTEMD_NODES, record, run_role


@pytest.fixture(scope="module", autouse=True)
def installed(machines):
    for name in NODES:
        machines[name].check_output("dpkg --install /root/lab-newcomer.deb")


def test_it_does_not_start_when_it_is_installed(machines, node):
    assert "7300" not in node.check_output("ss -Hltn")


def test_where_packages_follow_the_preset_it_is_not_even_enabled(machines):
    """Debian's packages do since Debian 13."""
    assert machines["node3"].run("systemctl is-enabled lab-newcomer.service").stdout.strip() == "disabled"


def test_the_next_run_catches_it(machines):
    # As if somebody had started it by hand.
    for name in NODES:
        machines[name].check_output(
            "systemctl enable --now lab-newcomer.service" if name in SYSTEMD_NODES else "/etc/init.d/lab-newcomer start"
        )
        assert "7300" in machines[name].check_output("sleep 2; ss -Hltn")
    done = run_role()
    assert done.returncode == 0, done.output
    for name in NODES:
        assert scan(machines["outsider"], ADDRESSES[name]["management"]["ipv4"]) == [[22], {}, 65535]
        assert record(machines[name])["state"]["unit lab-newcomer.service"]["active"] is True
        if name in SYSTEMD_NODES:
            state = machines[name].run("systemctl is-enabled lab-newcomer.service").stdout.strip()
            assert state == "masked"
        else:
            assert machines[name].run("ls /etc/rc?.d/S*lab-newcomer").rc != 0
    assert "changed=1" in done.stdout
    again = run_role()
    assert again.stdout.count("changed=0") == len(NODES)
