# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What listens on a host, and whose it is, from C(/proc)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import socket
import struct

from ansible_collections.xensec.hardening.plugins.module_utils.contents import read

PROC = "/proc"
LISTENING, UNCONNECTED = "0A", "07"
TABLES = (
    ("tcp", "tcp", LISTENING),
    ("tcp6", "tcp", LISTENING),
    ("udp", "udp", UNCONNECTED),
    ("udp6", "udp", UNCONNECTED),
    ("udplite", "udplite", UNCONNECTED),
    ("udplite6", "udplite", UNCONNECTED),
)


def decode_address(text):
    """Turn the kernel's hexadecimal notation in /proc/net/tcp and tcp6 into an address.

    Each group of four bytes is in the byte order of the machine.
    """
    numbers = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack("=%dI" % len(numbers), *numbers)
    return socket.inet_ntop(socket.AF_INET if len(numbers) == 1 else socket.AF_INET6, packed)


def pids():
    return sorted(int(name) for name in os.listdir(PROC) if name.isdigit())


def command_line(pid):
    return [word for word in read(PROC, str(pid), "cmdline").split("\0") if word]


def program(pid):
    """Return the path of the program a process runs, or the empty string."""
    try:
        return os.readlink(os.path.join(PROC, str(pid), "exe")).replace(" (deleted)", "")
    except OSError:
        return ""


def parent(pid):
    status = re.search(r"^PPid:\s*(\d+)", read(PROC, str(pid), "status"), re.M)
    return int(status.group(1)) if status else 0


def ancestors(pid):
    """Return the process and those above it, up to the first."""
    found = []
    while pid > 0 and pid not in found:
        found.append(pid)
        pid = parent(pid)
    return found


def cgroup(pid):
    """Return the path of a process's control group in systemd's hierarchy."""
    lines = [line.split(":", 2) for line in read(PROC, str(pid), "cgroup").splitlines()]
    for wanted in ("name=systemd", ""):
        for fields in lines:
            if len(fields) == 3 and fields[1] == wanted:
                return fields[2]
    return ""


def unit_path(group, root):
    """Return the names of the units in a control group's path, outermost first.

    :arg root: the group of process 1, of which a container may see the part outside of it, too.
    """
    root = re.sub(r"/init\.scope$", "", root).rstrip("/")
    if root and (group + "/").startswith(root + "/"):
        group = group[len(root) :]
    return [part for part in group.split("/") if part.endswith((".service", ".scope", ".socket"))]


def holders():
    """Return {inode: pids} of every socket that some process has open."""
    found = {}
    for pid in pids():
        folder = os.path.join(PROC, str(pid), "fd")
        try:
            descriptors = os.listdir(folder)
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(os.path.join(folder, descriptor))
            except OSError:
                continue
            if target.startswith("socket:["):
                found.setdefault(target[8:-1], set()).add(pid)
    return found


def listening():
    """Return what listens, TCP and UDP of both families, each as a dict with protocol, address, port, socket, pids."""
    found, open_by = [], holders()
    for table, protocol, state in TABLES:
        for line in read(PROC, "net", table).splitlines()[1:]:
            fields = line.split()
            if len(fields) < 10 or fields[3] != state:
                continue
            address, dummy, port = fields[1].partition(":")
            address, port = decode_address(address), int(port, 16)
            name = ("%s/[%s]:%d" if ":" in address else "%s/%s:%d") % (protocol, address, port)
            owners = sorted(open_by.get(fields[9], ()))
            found.append({"protocol": protocol, "address": address, "port": port, "socket": name, "pids": owners})
    return sorted(found, key=lambda item: (item["protocol"], item["port"], item["address"]))
