# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed, has company, or finds the disk full, a file immutable, a program that fails or hangs.

During and after each the operator gets in over a new connection, a plain second run ends as an uninterrupted one does, and
the undo gives the node back: after that second run, straight from what the fault has left, and where it was the undo itself
that was hit. XENSEC_FAULTS sets how many points are tried, XENSEC_SEED which. Where a run can be hit is measured in one that
is left alone.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from labtest import INVENTORY, LAB, ssh
from restoretest import command, differences, play, snapshot

NODE = "node1"
POINTS = int(os.environ.get("XENSEC_FAULTS") or 3)
# The same points each time, so that a check that fails has found something that changed; XENSEC_SEED draws others.
SEED = os.environ.get("XENSEC_SEED") or "416436"
CONTAINER = INVENTORY["children"]["xen_nodes"]["hosts"][NODE]["lab_container"]
# One role in the time of few tasks; all of them in a row come after each had its turn.
ROLES = ("dom0_firewall", "xend_relocation", "dom0_services", "dom0_users")
# Two hardened states are the same but for times, the record, which tells how it came about, and what shadow's tools keep.
SAME = re.compile(r"file .* time$|file /var/lib/xensec|file /etc/(passwd|group|shadow|gshadow)-")
# Each has a file system of its own, so that it can be full.
DISKS = {"/etc": 16, "/var/lib/xensec": 2}
# What is hit, and whether the run is repeated before it is undone.
COURSES = [("harden", True), ("harden", False), ("restore", False)]
# An operator ends a run that hangs so many seconds after it began to.
PATIENCE = 5


def as_root(script: str, check: bool = True) -> str:
    """Do to the node what it may not do itself: mounts, full disks, immutable files."""
    pid = subprocess.check_output(["podman", "inspect", "--format={{.State.Pid}}", CONTAINER], text=True).strip()
    return subprocess.run(
        ["nsenter", "-t", pid, "-m", "-p", "sh", "-ec", script], stdout=subprocess.PIPE, text=True, check=check
    ).stdout


def gets_in() -> bool:
    """Whether an operator gets in over a connection that did not exist before."""
    return ssh(NODE, "true", check=False).returncode == 0


@dataclass
class Run:
    """One run, and the moment it is killed at, if any; with it goes all that it has started on the controller."""

    playbook: str
    tags: str
    name: str = "run"
    ended: Callable[[str], bool] = lambda said: False
    said: str = ""
    code: int = 0
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.output = LAB / f"{self.name}.log"
        with self.output.open("wb") as stream:
            self.process = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--kill-child", *command(self.playbook, "--tags", self.tags)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> Run:
        deadline = time.monotonic() + 400
        while self.process.poll() is None:
            if self.ended(self.output.read_text()) or time.monotonic() > deadline:
                self.process.kill()
            time.sleep(0.1)
        self.said, self.code = self.output.read_text(), self.process.returncode
        return self

    @property
    def outcome(self) -> str:
        return {0: "it came through", -9: "it was killed"}.get(self.code, "it failed")


@dataclass
class Course:
    """The tasks of a run that is left alone, and how many milliseconds each call of a program took."""

    tasks: int
    calls: dict[str, list[int]]


@dataclass
class Measured:
    """The node as these roles leave it, the files they change, and where a run of each playbook can be hit."""

    hardened: dict[str, Any]
    paths: list[str]
    runs: dict[str, Course]


@dataclass
class Fault:
    what: str
    begin: str = ""
    end: str = ""
    ended: Callable[[str], bool] = lambda said: False
    runs: int = 1


def controller_killed(rng: random.Random, course: Course, paths: list[str]) -> Fault:
    number, seconds = rng.randint(1, course.tasks), rng.choice([0, rng.random() * 1.5])

    def ended(said: str) -> bool:
        if said.count("TASK [") < number:
            return False
        time.sleep(seconds)
        return True

    return Fault(f"controller killed {seconds:.2f} s into task {number} of {course.tasks}", ended=ended)


def module_killed(rng: random.Random, course: Course, paths: list[str]) -> Fault:
    took = course.calls["python3"]
    number = rng.randint(1, len(took))
    seconds = rng.random() * took[number - 1] / 1000
    return Fault(
        f"module {number} of {len(took)} killed after {seconds:.2f} s",
        f"mkdir -p /run/faults; echo kill {number} {seconds:.3f} >/run/faults/python3.harm",
        "rm /run/faults/python3.harm",
    )


def disk_full(rng: random.Random, course: Course, paths: list[str]) -> Fault:
    disk, room = rng.choice(list(DISKS)), rng.choice([0, 0, 4, 8, 16])
    return Fault(
        f"{disk} full but for {room} KB",
        f"cd {disk}; head -c {room}k /dev/zero >.room; cat /dev/zero >.ballast 2>/dev/null || rm .room",
        f"rm {disk}/.ballast",
    )


def file_immutable(rng: random.Random, course: Course, paths: list[str]) -> Fault:
    path = rng.choice(paths)
    return Fault(f"{path} immutable", f"chattr +i {path}", f"chattr -i {path}")


def program(harm: str) -> Callable[[random.Random, Course, list[str]], Fault]:
    def broken(rng: random.Random, course: Course, paths: list[str]) -> Fault:
        name = rng.choice([name for name in ("systemctl", "nft", "sshd") if course.calls[name]])
        number = rng.randint(1, len(course.calls[name]))

        def ended(said: str) -> bool:
            if not as_root("cat /run/faults/hanging 2>/dev/null || true"):
                return False
            time.sleep(PATIENCE)
            return True

        return Fault(
            f"{name} {harm}s from call {number} of {len(course.calls[name])} on",
            f"mkdir -p /run/faults; echo {harm} {number} >/run/faults/{name}.harm",
            "rm /run/faults/*.harm; for pid in $(cat /run/faults/hanging 2>/dev/null); do kill $pid || true; done",
            ended if harm == "hang" else lambda said: False,
        )

    return broken


def two_runs(rng: random.Random, course: Course, paths: list[str]) -> Fault:
    return Fault("two runs at once", runs=2)


KINDS = [
    controller_killed,
    module_killed,
    disk_full,
    file_immutable,
    program("fail"),
    program("hang"),
    two_runs,
]


class Campaign:
    """The node, and what its runs do when they are left alone."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.original = snapshot(node)
        self.measured: dict[str, Measured] = {}

    def differences(self, then: dict[str, Any]) -> dict[str, Any]:
        return differences(then, snapshot(self.node))

    def measure(self, tags: str) -> Measured:
        if tags not in self.measured:
            runs = {"harden": self.course("harden", tags)}
            hardened = snapshot(self.node)
            self.make_records_older()
            runs["restore"] = self.course("restore", tags)
            self.measured[tags] = Measured(hardened, self.paths(hardened), runs)
            # Version 1 knew of no folders: they are left, empty.
            left = self.differences(self.original)
            assert all(name.startswith("file ") and values[0] is None for name, values in left.items()), left
            if left:
                folders = sorted((name.removeprefix("file ") for name in left), reverse=True)
                self.node.run_expect([0], f"rmdir {' '.join(folders)}")
                assert self.differences(self.original) == {}
        return self.measured[tags]

    def course(self, playbook: str, tags: str) -> Course:
        """Run it undisturbed; return where it could be hit."""
        as_root("rm -rf /run/faults")
        run = Run(playbook, tags).wait()
        assert run.code == 0, run.said
        calls = {
            name: [int(line) for line in as_root(f"cat /run/faults/{name}.calls 2>/dev/null || true").split()]
            for name in ("python3", "systemctl", "nft", "sshd")
        }
        return Course(run.said.count("TASK ["), calls)

    def paths(self, hardened: dict[str, Any]) -> list[str]:
        """The files in /etc that a run changes, and the folders in which it makes new ones, or links."""
        was = {path: what for path, what in self.original["file"].items() if "link" not in what}
        found = set()
        for name in differences(self.original, hardened):
            path = Path(name.removeprefix("file "))
            if name.startswith("file /etc/") and not name.endswith(" time"):
                found.add(next(str(one) for one in [path, *path.parents] if str(one) in was or str(one) == "/etc"))
        return sorted(found)

    def make_records_older(self) -> None:
        """Make records those of version 1, which had no digests and no folders; what else it did not know is kept, for the
        node is to be compared."""
        folder = "/var/lib/xensec"
        for path in [f"{folder}/{name}" for name in self.node.file(folder).listdir() if name.endswith(".json")]:
            record = json.loads(self.node.file(path).content_string)
            assert record.pop("version") == 2 and record.pop("written") is not None
            record.pop("folders")
            self.node.run_expect([0], f"cat >{path} <<'END'\n{json.dumps({**record, 'version': 1})}\nEND")

    def suffer(self, fault: Fault, tags: str, playbook: str, again: bool) -> tuple[str, dict[str, Any]]:
        """Have a run go wrong, mend that, run it again and give the node back. Return what came of it, and what was lost."""
        lost: dict[str, Any] = {}
        if playbook == "restore":
            done = play("harden", "--tags", tags)
            assert done.returncode == 0, done.output
        as_root("rm -rf /run/faults")
        as_root(fault.begin)
        runs = [Run(playbook, tags, f"run{index}", fault.ended) for index in range(fault.runs)]
        outcome = ", ".join(run.wait().outcome for run in runs)
        doors = [gets_in()]
        as_root(fault.end)
        unclear = [run.said[-3000:] for run in runs if fault.runs > 1 and run.code and "another run" not in run.said]
        if unclear:
            lost["diverged"] = unclear
        if again:
            done = play("harden", "--tags", tags)
            differs = {
                name: values
                for name, values in self.differences(self.measured[tags].hardened).items()
                if not SAME.match(name)
            }
            if done.returncode or differs:
                lost["diverged"] = (differs, unclear, done.output[-3000:] if done.returncode else "")
            doors.append(gets_in())
        done = play("restore", "--tags", tags)
        differs = self.differences(self.original)
        if done.returncode or differs:
            lost["unrestorable"] = (differs, done.output[-3000:] if done.returncode else "")
        doors.append(gets_in())
        if not all(doors):
            lost["lock-outs"] = doors
        return outcome, lost


@pytest.fixture
def campaign(machines: dict[str, Any]) -> Campaign:
    for disk, size in DISKS.items():
        as_root(
            f"! mountpoint -q {disk} || exit 0; mkdir -p {disk} /run/disk;"
            f"mount -t tmpfs -o size={size}m tmpfs /run/disk; cp -a {disk}/. /run/disk;"
            f"mount --bind /run/disk {disk}; umount /run/disk; rmdir /run/disk;"
            # It is one of the units that are compared, and systemd sees it a moment later.
            f"timeout 30 sh -c 'until systemctl is-active --quiet {disk}; do sleep 0.1; done'"
        )
    return Campaign(machines[NODE])


def test_whatever_happens_nothing_is_lost(campaign: Campaign) -> None:
    rng = random.Random(SEED)
    # Each kind, each role and each course once before any comes again; which come first is drawn as well.
    kinds, parts = rng.sample(KINDS, len(KINDS)), [*rng.sample(ROLES, len(ROLES)), ",".join(ROLES)]
    courses = rng.sample(COURSES, len(COURSES))
    tally: dict[str, list[str]] = {"lock-outs": [], "diverged": [], "unrestorable": []}
    print(f"\nseed {SEED}, {POINTS} points (XENSEC_SEED, XENSEC_FAULTS)", flush=True)
    for number in range(POINTS):
        began = time.monotonic()
        tags, (playbook, again) = parts[number % len(parts)], courses[number % len(courses)]
        known = campaign.measure(tags)
        fault = kinds[number % len(kinds)](rng, known.runs[playbook], known.paths)
        measured = time.monotonic()
        outcome, lost = campaign.suffer(fault, tags, playbook, again)
        then = ", run again" if again else ""
        what = f"point {number + 1}: {playbook} {tags.replace(',', ', ')}: {fault.what}: {outcome}{then}"
        for kind in lost:
            tally[kind].append(what)
        took = f"{time.monotonic() - measured:.0f} s, and {measured - began:.0f} s to measure"
        print(f"{what}; {', '.join(lost) or 'nothing lost'} ({took})", flush=True)
        if lost:
            print(json.dumps(lost, indent=1), flush=True)
    counted = ", ".join(f"{kind} {len(found)}" for kind, found in tally.items())
    print(f"points tried {POINTS}, {counted} (seed {SEED})")
    assert not any(tally.values()), tally
