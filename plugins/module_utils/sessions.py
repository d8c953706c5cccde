# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a process is: a service's, or that of a person who logged in."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import signal
import time

from ansible_collections.xensec.hardening.plugins.module_utils.contents import read

PROC = "/proc"
SYSTEMD = "/run/systemd/system"
UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
# Services that let people in: what runs below them is not theirs. Of jobs, whose they are depends on the account.
DOORS = re.compile(
    r"(ssh|sshd|dropbear|getty|autovt|serial-getty|console-getty|container-getty|user|user-runtime-dir|"
    r"gdm|lightdm|sddm|display-manager)(@.*)?\.service\Z|session-.*\.scope\Z"
)
JOBS = re.compile(r"(cron|crond|cronie|anacron|atd)(@.*)?\.service\Z")
DOOR_PROGRAMS = ("sshd", "sshd-session", "dropbear", "cron", "crond", "atd", "login", "su", "sudo")
NO_LOGIN = 2**32 - 1


def cgroup_path(pid):
    """Return the path of the process in systemd's own hierarchy, below what the first process is in."""
    paths = []
    for one in (pid, 1):
        for line in read(PROC, str(one), "cgroup").splitlines():
            number, dummy, rest = line.partition(":")
            controllers, dummy, path = rest.partition(":")
            if controllers == "name=systemd" or number == "0":
                paths.append(path)
                break
    # In a container without a cgroup namespace the path begins with where the container itself is.
    top = os.path.dirname(paths[-1]) if len(paths) == 2 else "/"
    path = paths[0] if paths else ""
    return path[len(top) :] if top != "/" and path.startswith(top + "/") else path


class Process(object):
    """A process and whose it is."""

    def __init__(self, pid):
        self.pid = pid
        status = read(PROC, str(pid), "status")
        uids = re.search(r"^Uid:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", status, re.M)
        parent = re.search(r"^PPid:\s+(\d+)", status, re.M)
        name = re.search(r"^Name:\s+(.*)", status, re.M)
        # The real one: a daemon of root's may act as an account for a moment, and is not that account's.
        self.uid = int(uids.group(1)) if uids else None
        self.parent = int(parent.group(1)) if parent else 0
        self.name = name.group(1) if name else ""
        self.zombie = bool(re.search(r"^State:\s+[ZX]", status, re.M))


def processes():
    """Return every process by its id."""
    pids = [int(name) for name in os.listdir(PROC) if name.isdigit()]
    return dict((pid, process) for pid, process in ((pid, Process(pid)) for pid in pids) if process.uid is not None)


def belongs_to(process, table):
    """Return C(service) and its name, C(job), C(person), or C(other), which is left alone, such as a container's."""
    if os.path.isdir(SYSTEMD):
        path = cgroup_path(process.pid)
        units = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
        unit = units[-1] if units else ""
        if JOBS.match(unit):
            return "job", unit
        if path.startswith("/user.slice/") or DOORS.match(unit):
            return "person", unit
        if unit.endswith(".service"):
            return "service", unit
        return ("person", "") if from_a_door(process, table) else ("other", unit)
    # Without systemd a daemon is what no login, no terminal and no job has brought up.
    fields = read(PROC, str(process.pid), "stat").rpartition(")")[2].split()
    terminal = int(fields[4]) if len(fields) > 4 else 0
    login = read(PROC, str(process.pid), "loginuid").strip("\0\n") or str(NO_LOGIN)
    environment = read(PROC, str(process.pid), "environ").split("\0")
    if terminal or int(login) != NO_LOGIN or any(item.startswith("SSH_CONNECTION=") for item in environment):
        return "person", ""
    return ("person", "") if from_a_door(process, table) else ("service", process.name)


def from_a_door(process, table):
    """Whether a program that lets people in is among the process's ancestors."""
    seen = set()
    while process and process.pid not in seen:
        if process.name in DOOR_PROGRAMS:
            return True
        seen.add(process.pid)
        process = table.get(process.parent)
    return False


def of_accounts(uids):
    """Return {uid: {"service": set of names, "job": [pids], "person": [pids]}} for these uids."""
    found = dict((uid, {"service": set(), "job": [], "person": []}) for uid in uids)
    table = processes()
    for process in table.values():
        if process.uid not in found or process.zombie:
            continue
        kind, unit = belongs_to(process, table)
        if kind == "service":
            found[process.uid]["service"].add(unit)
        elif kind != "other":
            found[process.uid][kind].append(process.pid)
    return found


def service_accounts():
    """Return {account or uid: unit} for the accounts that unit files name, whether the service runs now or not."""
    found = {}
    masked = set()
    for folder in UNIT_FOLDERS:
        for base, _folders, names in os.walk(folder):
            for name in names:
                path = os.path.join(base, name)
                if os.path.realpath(path) == os.devnull:
                    masked.add(name)
                if name in masked or not name.endswith((".service", ".conf")):
                    continue
                try:
                    with open(path, "rb") as stream:
                        text = stream.read().decode("utf-8", "replace")
                except (IOError, OSError):
                    continue
                for account in re.findall(r"^\s*User=\s*(\S+)\s*$", text, re.M):
                    found.setdefault(account, name)
    return found


def end(uids, kept, patience=3.0):
    """End what persons with these uids run: asked first, then made to. Return the processes that stay.

    :arg kept: those of the uids that also run a service; their jobs go on.
    """
    deadline = time.time() + patience
    spared = set()
    pid = os.getpid()
    while pid > 1:
        # Whoever runs this, by whatever way it came in, goes on running.
        spared.add(pid)
        pid = Process(pid).parent
    for _attempt in range(40):
        found = of_accounts(uids)
        left = set(pid for uid in found for pid in found[uid]["person"] + ([] if uid in kept else found[uid]["job"]))
        left -= spared
        if not left:
            return []
        for pid in left:
            try:
                os.kill(pid, signal.SIGTERM if time.time() < deadline else signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.2)
    return sorted(left)
