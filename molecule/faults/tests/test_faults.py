# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed, or finds the disk full, a file immutable, a program that fails or hangs.

After each the operator gets in over a new connection, a plain second run ends as an uninterrupted one does, and the undo
gives the node back. XENSEC_FAULTS sets how many points are tried, XENSEC_SEED which.
"""

import os
import random
import re
import signal
import subprocess
import time

import pytest
from labtest import INVENTORY, LAB
from restoretest import differences, play, snapshot, start

NODE = "node1"
POINTS = int(os.environ.get("XENSEC_FAULTS") or 4)
SEED = os.environ.get("XENSEC_SEED") or str(random.SystemRandom().randrange(10**6))
CONTAINER = INVENTORY["children"]["xen_nodes"]["hosts"][NODE]["lab_container"]
# Numbers, and what somebody did by hand, of two hardened states that are the same; a record tells how it came about.
SAME = re.compile(r"file .* time$|file /var/lib/xensec|file /etc/(passwd|group|shadow|gshadow)-")
TASKS, MODULES = 24, 18


def root(*command, check=True):
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout.strip()


def mount(*arguments):
    """Do something to the node's file systems, which it may not do itself."""
    pid = root("podman", "inspect", "--format={{.State.Pid}}", CONTAINER)
    return root("nsenter", "-t", pid, "-m", *arguments)


def on_node(*command):
    return subprocess.Popen(["podman", "exec", CONTAINER, *command], stdout=subprocess.PIPE, text=True)


def gets_in():
    """Whether an operator gets in over a connection that did not exist before."""
    command = ["ssh", "-F", str(LAB / "ssh_config"), "-o", "ControlPath=none", NODE, "true"]
    return subprocess.run(command, capture_output=True, check=False, timeout=180).returncode == 0


def harden(rng, killed_after=None):
    """Run it, and kill the controller once so many tasks have begun. Return what it printed."""
    process, said = start("harden", "--skip-tags", "dom0_audit"), []
    tasks, deadline = 0, time.monotonic() + 400
    for line in process.stdout:
        said.append(line)
        tasks += line.startswith("TASK [")
        if time.monotonic() > deadline or (killed_after and tasks >= killed_after):
            time.sleep(rng.random() * 1.5)
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.wait()
    return "".join(said)


def controller_killed(rng):
    number = rng.randrange(1, TASKS)
    harden(rng, number)
    return f"controller killed in task {number}"


def module_killed(rng):
    number, seconds = rng.randrange(2, MODULES), rng.random() * 0.8
    killer = on_node("python3", "/opt/harm", "kill", str(number), str(seconds))
    harden(rng)
    killer.kill()
    return f"module {number} killed after {seconds:.2f} s"


def full_disk(rng):
    mount("mkdir", "-p", "/var/lib/xensec")
    mount("mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs", "/var/lib/xensec")
    room = rng.choice([0, 0, 4, 8, 16])
    mount("sh", "-c", f"head -c {512 - room}k /dev/zero >/var/lib/xensec/ballast || true")
    said = harden(rng)
    mount("rm", "-f", "/var/lib/xensec/ballast")
    assert "No space left" in said, said
    return f"the disk of the records full but for {room} KB"


def immutable_file(rng):
    path = rng.choice(["/etc/passwd", "/etc/group", "/etc/xen/xend-config.sxp", "/etc/ssh/sshd_config"])
    mount("mount", "--bind", path, path)
    try:
        said = harden(rng)
    finally:
        mount("umount", "--lazy", path)
    assert "failed=1" in said, said
    return f"{path} cannot be replaced"


def program_fails(rng):
    name, number = rng.choice([("systemctl", 12), ("nft", 14), ("sshd", 3)])
    return broken(rng, name, "fail", rng.randrange(1, number))


def program_hangs(rng):
    name, number = rng.choice([("systemctl", 12), ("nft", 14), ("sshd", 3)])
    return broken(rng, name, "hang", rng.randrange(1, number))


def broken(rng, name, harm, number):
    on_node("python3", "/opt/harm", "stand-in", name, harm, str(number)).wait()
    process = start("harden", "--skip-tags", "dom0_audit")
    try:
        process.communicate(timeout=400 if harm == "fail" else 45)
    except subprocess.TimeoutExpired:
        # An operator who has waited long enough.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        on_node("python3", "/opt/harm", "heal", name).wait()
    return f"{name} does {harm} from call {number} on"


KINDS = [
    controller_killed,
    module_killed,
    full_disk,
    module_killed,
    immutable_file,
    controller_killed,
    program_fails,
    program_hangs,
]


@pytest.fixture(scope="module")
def states(machines):
    """The node as it was, and as an uninterrupted run leaves it."""
    original = snapshot(machines[NODE])
    done = play("harden", "--skip-tags", "dom0_audit")
    assert done.returncode == 0, done.output
    hardened = snapshot(machines[NODE])
    done = play("restore")
    assert done.returncode == 0, done.output
    assert differences(original, snapshot(machines[NODE])) == {}
    return original, hardened


def test_whatever_happens_nothing_is_lost(machines, states):
    original, hardened = states
    rng = random.Random(SEED)
    # Each kind once before any comes again; which come first is drawn as well.
    kinds = rng.sample(KINDS, len(KINDS))
    tally = {"lock-outs": [], "diverged": [], "unrestorable": []}
    print(f"\nseed {SEED}, {POINTS} points (XENSEC_SEED, XENSEC_FAULTS)")
    for number in range(POINTS):
        what = f"point {number + 1}: {kinds[number % len(kinds)](rng)}"
        print(what, flush=True)
        if not gets_in():
            tally["lock-outs"].append(what)
        done = play("harden", "--skip-tags", "dom0_audit")
        differs = {
            name: values
            for name, values in differences(hardened, snapshot(machines[NODE])).items()
            if not SAME.match(name)
        }
        if done.returncode or differs:
            tally["diverged"].append((what, differs, done.output[-3000:] if done.returncode else ""))
        done = play("restore")
        mount("sh", "-c", "mountpoint -q /var/lib/xensec && umount /var/lib/xensec || true")
        differs = differences(original, snapshot(machines[NODE]))
        if done.returncode or differs:
            tally["unrestorable"].append((what, differs, done.output[-3000:] if done.returncode else ""))
    counted = ", ".join(f"{kind} {len(found)}" for kind, found in tally.items())
    print(f"points tried {POINTS}, {counted} (seed {SEED})")
    assert not any(tally.values()), tally
