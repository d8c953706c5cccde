#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: dom0_info
short_description: Read what the hardening of a Xen management domain rests on
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Reads a host's tool stack, network interfaces and TCP listeners in one call, without side effects.
  - The roles of this collection plan on the controller from what it returns.
options:
  gather_subset:
    description: What to read.
    type: list
    elements: str
    choices: [toolstack, interfaces, listeners]
    default: [toolstack, interfaces, listeners]
attributes:
  check_mode:
    support: full
    description: It changes nothing, and returns the same in check mode.
  diff_mode:
    support: none
    description: There is no change to show.
  platform:
    support: full
    platforms: linux
    description: Reads C(/proc), C(/sys) and C(ip -o).
"""

EXAMPLES = r"""
- name: Read the node
  xensec.hardening.dom0_info:
  register: dom0

- name: Say which tool stack runs its guests
  ansible.builtin.debug:
    msg: "{{ dom0.toolstack.detected }}, because of {{ dom0.toolstack.evidence | join(', ') }}"
"""

RETURN = r"""
toolstack:
  description: Which tool stack the host has, and how that was decided.
  returned: when asked for
  type: dict
  contains:
    detected:
      description:
        - V(xend) or V(xl); V(both) when both are installed and xend runs beside xl; V(none) when neither is there.
        - Where both are installed and xend does not run, it is V(xl).
      type: str
    evidence:
      description: What was found, in words.
      type: list
      elements: str
  sample: {"detected": "xend", "evidence": ["/etc/xen/xend-config.sxp is there", "xend runs as process 412"]}
interfaces:
  description: The network interfaces by name, loopback left out.
  returned: when asked for
  type: dict
  sample:
    eth0:
      ipv4: [{address: 192.0.2.5, prefix: 24}]
      ipv6: [{address: "2001:db8::5", prefix: 64}]
      up: true
      bridge: null
      guests: false
      default_route: true
listeners:
  description: The TCP sockets that listen.
  returned: when asked for
  type: list
  elements: dict
  sample: [{address: 192.0.2.5, port: 8002, socket: "192.0.2.5:8002", pid: 412, process: python}]
"""

import os
import re
import socket
import struct

from ansible.module_utils.basic import AnsibleModule

GUEST_INTERFACE = re.compile(r"(vif|tap)\d+\.\d+|vif.*|tap.*")


def read(path):
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except (IOError, OSError):
        return ""


def processes():
    """Yield (pid, words of its command line) for every process that has one."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            words = read("/proc/%s/cmdline" % name).split("\0")
            if words[0]:
                yield int(name), words


def toolstack(module):
    evidence = []
    for path in ("/etc/xen/xend-config.sxp", "/usr/sbin/xend"):
        if os.path.exists(path):
            evidence.append("%s is there" % path)
    has_xend = bool(evidence)
    xl = module.get_bin_path("xl")
    if xl:
        evidence.append("%s is there" % xl)
    xend_runs = False
    for pid, words in processes():
        # xend is a script: the interpreter is the first word.
        if any(os.path.basename(word) == "xend" for word in words[:2]):
            xend_runs = True
            evidence.append("xend runs as process %d" % pid)
            break
    decided = {
        (False, False): "none",
        (False, True): "xl",
        (True, False): "xend",
        (True, True): "both" if xend_runs else "xl",
    }
    return {"detected": decided[has_xend, bool(xl)], "evidence": evidence or ["neither xend nor xl was found"]}


def interfaces(module):
    ip = module.get_bin_path("ip", required=True, opt_dirs=["/sbin", "/usr/sbin"])
    dummy, addresses, dummy = module.run_command([ip, "-o", "address", "show"], check_rc=True)
    defaults = set()
    for family in ("-4", "-6"):
        # A kernel without IPv6 answers with an error: then there is no such route.
        dummy, routes, dummy = module.run_command([ip, family, "-o", "route", "show", "default"])
        defaults.update(re.findall(r"^default\b.*?\bdev (\S+)", routes, re.M))
    found = {}
    for name in os.listdir("/sys/class/net"):
        base = os.path.join("/sys/class/net", name)
        if name == "lo" or not os.path.isdir(base):
            continue
        master = os.path.join(base, "brport", "bridge")
        ports = os.path.join(base, "brif")
        found[name] = {
            "ipv4": [],
            "ipv6": [],
            # Virtual interfaces have no carrier to lose: "unknown" is as good as "up".
            "up": read(os.path.join(base, "operstate")).strip() in ("up", "unknown"),
            "bridge": os.path.basename(os.path.realpath(master)) if os.path.exists(master) else None,
            "guests": os.path.isdir(ports) and any(GUEST_INTERFACE.match(port) for port in os.listdir(ports)),
            "default_route": name in defaults,
        }
    for name, family, address, prefix in re.findall(
        r"^\d+:\s+(\S+)\s+(inet6?)\s+([0-9a-fA-F.:]+)(?:\s+peer\s+\S+?)?/(\d+)", addresses, re.M
    ):
        # fe80:: addresses mean nothing without their interface, and nobody names a service by them.
        if name in found and not address.startswith("fe80:"):
            kind = "ipv4" if family == "inet" else "ipv6"
            found[name][kind].append({"address": address, "prefix": int(prefix)})
    return found


def decode_address(text):
    """Turn the kernel's hexadecimal notation in /proc/net/tcp and tcp6 into an address.

    Each group of four bytes is in the byte order of the machine.
    """
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack("=%dI" % len(words), *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)


def socket_owners():
    """Map socket inodes to (pid, process name)."""
    owners = {}
    for pid in [name for name in os.listdir("/proc") if name.isdigit()]:
        folder = "/proc/%s/fd" % pid
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
                owners[target[8:-1]] = (int(pid), read("/proc/%s/comm" % pid).strip())
    return owners


def listeners():
    found, owners = [], socket_owners()
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(path).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == "0A":
                address, dummy, port = fields[1].partition(":")
                address, port = decode_address(address), int(port, 16)
                name = ("[%s]:%d" if ":" in address else "%s:%d") % (address, port)
                pid, process = owners.get(fields[9], (None, None))
                found.append({"address": address, "port": port, "socket": name, "pid": pid, "process": process})
    return sorted(found, key=lambda item: (item["port"], item["address"]))


def main():
    subsets = ["toolstack", "interfaces", "listeners"]
    module = AnsibleModule(
        argument_spec={
            "gather_subset": {"type": "list", "elements": "str", "choices": subsets, "default": subsets},
        },
        supports_check_mode=True,
    )
    result = {"changed": False}
    wanted = module.params["gather_subset"]
    if "toolstack" in wanted:
        result["toolstack"] = toolstack(module)
    if "interfaces" in wanted:
        result["interfaces"] = interfaces(module)
    if "listeners" in wanted:
        result["listeners"] = listeners()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
