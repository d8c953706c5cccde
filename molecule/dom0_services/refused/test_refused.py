# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused, what is told, and what a second run does."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from servicetest import SYSTEMD_NODES, active, run_role


@pytest.fixture(params=SYSTEMD_NODES)
def systemd(request, machines):
    return request.param, machines[request.param]


@pytest.mark.parametrize(
    "pattern, why",
    [
        ("xendomains", "never stopped (runs guests (Xen))"),
        ("lab-network", "never stopped (sets up the network, by its order)"),
        ("lab-guest", "never stopped (has processes of running guests)"),
    ],
)
def test_stopping_what_is_protected_is_an_error(machines, pattern, why):
    before = active(machines["node3"])
    done = run_role(variables={"dom0_services_stop": [pattern]}, limit="node3")
    assert done.returncode != 0
    assert why in " ".join(done.output.split())
    assert active(machines["node3"]) == before


def test_a_keep_entry_that_means_nothing_is_a_warning():
    done = run_role(variables={"dom0_services_keep": ["lab-kept", "lab-stor"]}, limit="node2")
    assert "did you mean lab-store" in " ".join(done.output.split())
    assert done.returncode == 0, done.output


def test_what_listens_for_no_service_fails_the_role(machines):
    node = machines["node2"]
    node.check_output("systemd-run --unit=lab-stray /usr/bin/python3 /usr/local/sbin/listen 7200; sleep 2")
    try:
        done = run_role(limit="node2")
        said = " ".join(done.output.split())
        assert done.returncode != 0
        assert "tcp/0.0.0.0:7200: process" in said
        assert "unit: lab-stray.service" in said
        assert "package: python3" in said
    finally:
        node.check_output("systemctl stop lab-stray.service")


def test_a_second_run_changes_nothing_by_one_module_call(machines):
    """Each task is one connection here: the facts, the one call, and the connection that counts."""
    counting = "journalctl _COMM=sshd _COMM=sshd-session -o cat | grep -c '^Accepted '"
    before = int(machines["node1"].check_output(counting))
    done = run_role(limit="node1")
    after = int(machines["node1"].check_output(counting))
    assert "changed=0" in done.stdout
    assert after - before == 3


def test_the_preset_would_not_take_away_what_stays(systemd):
    """What systemctl preset-all would do, tried on a copy of the units."""
    node = systemd[1]
    root = "/tmp/preset"
    node.check_output(
        f"rm -rf {root}; mkdir -p {root}/etc {root}/usr/lib/systemd; cp -a /etc/systemd {root}/etc/;"
        f"cp -a /lib/systemd/system {root}/usr/lib/systemd/; ln -s usr/lib {root}/lib"
    )
    # What our other roles may write later: enabled; with a link of its own, for the next boot.
    own = f"{root}/etc/systemd/system"
    install = "[Install]\\nWantedBy=multi-user.target\\n"
    node.check_output(
        f"mkdir -p {own}/sysinit.target.wants; printf '{install}' >{own}/xensec-later.service;"
        f"printf '[Unit]\\n' | tee {own}/xensec-way-back.service >{own}/xensec-each@.service;"
        f"ln -s /etc/systemd/system/xensec-way-back.service {own}/sysinit.target.wants/"
    )
    # It returns 1 on older releases, for what is masked and for aliases it has just made; what counts is what it did.
    node.run(f"systemctl --root={root} preset-all")
    shown = node.run(f"systemctl --root={root} is-enabled ssh.service networking.service lab-kept.service")
    assert shown.stdout.split() == ["enabled"] * 3
    assert node.run(f"systemctl --root={root} is-enabled ssh.socket").stdout.strip() == "disabled"
    links = node.check_output(f"find {own} -type l -name 'xensec-*' -printf '%P\\n'").split()
    assert sorted(links) == [
        "multi-user.target.wants/xensec-later.service",
        "sysinit.target.wants/xensec-way-back.service",
    ]
