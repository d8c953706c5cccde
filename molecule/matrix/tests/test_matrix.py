# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each core hardens the nodes it can manage, again, audits them and gives them back; the doors are tried meanwhile."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import matrix
import pytest
import yaml
from ansible.release import __version__ as ansible_version
from labtest import ADDRESSES, INVENTORY, LAB, PROJECT, ansible, changes, killed_afterwards, reboot, ssh

XEND_ERA = "xend-era"
EVERYTHING = os.environ.get("XENSEC_CORES") == "all"
# What runs the scenarios themselves: isolated_management, xl and restore, above all, on the same platforms.
DEFAULT_CORE = ".".join(ansible_version.split(".")[:2])
# A port that nobody has asked for, and how long somebody listens there.
PORT, SECONDS = 7000, 60
# What is said is read here.
PLAIN = {**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"}
# What a node is by: its settings, what runs at boot, who listens, and what the packet filter holds. What lists accounts once
# more, and what SysV init works out from its scripts, is nobody's setting.
STATE = r"""
find /etc ! -name '*-' ! -name '.depend.*' \( -type f -exec md5sum {} + -o -type l -printf '%p -> %l\n' \) | sort
ss -Hltun | awk '{print $1, $5}' | sort -u
for tool in iptables ip6tables; do $tool-save -t filter | sed -n 's/ \[.*//; /^[-:]/p'; done
if command -v nft >/dev/null; then nft list ruleset; fi
"""


def tell(text: str) -> None:
    print(f"matrix: {text}", flush=True)


@pytest.fixture(scope="module")
def cells() -> Iterator[dict[tuple[str, str], str]]:
    """What came of each node with each core, to be printed in the end."""
    found: dict[tuple[str, str], str] = {}
    yield found
    lines = matrix.table(found)
    (PROJECT / ".cache/matrix.md").write_text("\n".join([*lines, ""]))
    print("\n" + "\n".join(lines) + "\nmatrix: this is in .cache/matrix.md, too", flush=True)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900, env=PLAIN)


def state(node: str) -> list[str]:
    return ssh(node, STATE).stdout.splitlines()


class Controller:
    """A controller with this core, and the nodes it can manage."""

    def __init__(self, core: str) -> None:
        self.core, self.programs = core, matrix.programs(PROJECT, core)
        self.nodes = matrix.chosen(core, EVERYTHING)
        self.inventory = LAB / f"core-{core}.yml"
        known = copy.deepcopy(INVENTORY)
        hosts = known["children"]["xen_nodes"]["hosts"]
        known["children"]["xen_nodes"]["hosts"] = {node: hosts[node] for node in self.nodes}
        self.inventory.write_text(yaml.safe_dump({"all": known}))

    def command(self, playbook: str, *words: str, **variables: Any) -> list[str]:
        extra = {"harden_serial": ["100%"], "dom0_audit_report_dir": str(LAB / "report"), **variables}
        return ansible(
            *("ansible-playbook", "--extra-vars", json.dumps(extra), *words, f"xensec.hardening.{playbook}"),
            programs=self.programs,
            inventory=self.inventory,
        )

    def play(self, playbook: str) -> tuple[str, dict[str, int]]:
        """Run a playbook. Return what it said, and how many tasks changed something, by host."""
        began = time.monotonic()
        done = run(self.command(playbook))
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-8000:]
        changed = changes(done.stdout)
        assert set(changed) >= set(self.nodes), said[-2000:]
        tell(f"ansible-core {self.core}: {playbook} of {len(self.nodes)} nodes took {time.monotonic() - began:.0f} s")
        return said, changed


def open_from_outside(node: str) -> dict[str, bool]:
    """Whether the outsider reaches a port that somebody on the node listens on, by family of addresses."""
    listeners = [f"timeout {SECONDS} nc {option} -lk {PORT} </dev/null >/dev/null 2>&1 &" for option in ("-4", "-6")]
    ssh(node, "\n".join([*listeners, "sleep 0.5"]))
    # There is something to be reached.
    for address in ("127.0.0.1", "::1"):
        ssh(node, f"nc -z -w 5 {address} {PORT}")
    found = {
        family: ssh("outsider", f"nc -z -w 5 {address} {PORT}", check=False).returncode == 0
        for family, address in ADDRESSES[node]["management"].items()
    }
    ssh(node, "kill $(pidof nc)")
    return found


def doors(nodes: list[str], shut: bool) -> None:
    """The operator gets in; nobody does by a port that nothing admits."""
    for node in nodes:
        assert ssh(node, "id -u").stdout.strip() == "0"
        assert open_from_outside(node) == {"ipv4": not shut, "ipv6": not shut}, node


def after_a_boot_of_the_old_node() -> None:
    reboot(XEND_ERA)
    doors([XEND_ERA], shut=True)
    # Its init starts the scripts of both rulesets at a time, and its iptables knows no patience.
    for ruleset in ("dom0", "relocation"):
        ssh(XEND_ERA, f"flock /run/xtables.lock sleep 1 & sleep 0.3; /etc/init.d/xensec-firewall-{ruleset} start")
    jumps = ssh(XEND_ERA, "iptables -S INPUT; ip6tables -S INPUT").stdout
    assert jumps.count("-j XENSEC_DOM0") == jumps.count("-j XENSEC_RELOCATION") == 2, jumps


def nothing_locks_out_of_the_old_node(controller: Controller) -> None:
    """What would is taken back by the host itself: after a while, and by a boot before that."""
    there = ("--limit", XEND_ERA, "--tags")
    fatal = {"dom0_firewall_management_sources": ["192.0.2.0/24"], "dom0_firewall_precheck": False}
    done = run(controller.command("harden", *there, "dom0_firewall", **fatal, dom0_firewall_confirm_timeout=20))
    assert done.returncode != 0
    assert "the host has taken the rules back by itself" in done.stdout + done.stderr, done.stdout + done.stderr
    doors([XEND_ERA], shut=True)

    fatal = {"dom0_users_permit_root_login": "no", "dom0_users_precheck": False, "dom0_users_confirm_timeout": 600}
    with killed_afterwards(controller.command("harden", *there, "dom0_users", **fatal)):
        deadline = time.monotonic() + 240
        while "PermitRootLogin no" not in inside(XEND_ERA, "cat /etc/ssh/sshd_config.d/00-xensec.conf"):
            assert time.monotonic() < deadline, "the fatal change never came"
            time.sleep(0.2)
        time.sleep(1)
        assert ssh(XEND_ERA, "true", check=False).returncode == 255, "the change was to be fatal, and is not"
    reboot(XEND_ERA)
    doors([XEND_ERA], shut=True)
    assert "rollback" not in ssh(XEND_ERA, "ls /etc/init.d /etc/rcS.d /var/lib/xensec/rollback 2>&1").stdout.replace(
        "/var/lib/xensec/rollback", ""
    )


def inside(node: str, command: str) -> str:
    """What a command says on a node that need not let anybody in."""
    container = INVENTORY["children"]["xen_nodes"]["hosts"][node]["lab_container"]
    done = subprocess.run(
        ["podman", "exec", container, "sh", "-c", command], stdout=subprocess.PIPE, text=True, check=False
    )
    return done.stdout


@pytest.mark.parametrize("core", matrix.CORES)
def test_every_platform_is_hardened_and_given_back(core: str, cells: dict[tuple[str, str], str]) -> None:
    controller = Controller(core)
    cells.update({(node, core): "left to make matrix" for node in matrix.nodes(core)})
    reason = ""
    if core == DEFAULT_CORE and not EVERYTHING:
        reason = "left to the other scenarios, which run with it, and to make matrix"
    elif not controller.programs.exists():
        reason = f"not run: there is no Python {', '.join(matrix.CORES[core])} here"
    if reason:
        cells.update({(node, core): reason for node in matrix.nodes(core)})
        pytest.skip(f"ansible-core {core}: {reason}")
    cells.update({(node, core): "**failed**" for node in controller.nodes})
    tell(subprocess.check_output([controller.programs / "ansible", "--version"], text=True).splitlines()[0])
    untouched = {node: state(node) for node in controller.nodes}
    doors(controller.nodes, shut=False)

    said, changed = controller.play("harden")
    assert all(changed[node] for node in controller.nodes), changed
    said, changed = controller.play("harden")
    assert not any(changed.values()), said[-8000:]
    doors(controller.nodes, shut=True)
    if XEND_ERA in controller.nodes:
        after_a_boot_of_the_old_node()
        nothing_locks_out_of_the_old_node(controller)
    said, changed = controller.play("audit")
    holds = re.findall(r"(\d+) pass, 0 fail, 0 error, 0 waived", said)
    assert len(holds) == len(controller.nodes) and min(map(int, holds)) > 30, said[-8000:]
    assert " 0 not as planned" in said

    said, changed = controller.play("restore")
    assert f"{len(controller.nodes)} hosts given back, 0 as they were before, 0 things left" in said, said[-3000:]
    for node in controller.nodes:
        assert state(node) == untouched[node], node
    doors(controller.nodes, shut=False)
    for node in controller.nodes:
        cells[node, core] = "passed" + ", rebooted" * (node == XEND_ERA)
