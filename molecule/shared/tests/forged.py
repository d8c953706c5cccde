# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volleys of forged packets against a gateway, and what became of them."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict, dataclass
from typing import Any

from labtest import ADDRESSES, INVENTORY

GATEWAYS = sorted(INVENTORY["children"]["xen_gateways"]["hosts"])
FAMILIES = ("ipv4", "ipv6")
# How many of each.
COUNT = 5
CAPTURING = ("node1", "node2", "node3", "guest1", "outsider")
NODE = {"ipv4": ADDRESSES["node1"]["clustera"]["ipv4"], "ipv6": ADDRESSES["node1"]["clustera"]["ipv6"]}
OWN = ADDRESSES["outsider"]["outside"]
BOGONS = {
    "ipv4": [
        *("10.1.2.3", "100.64.1.1", "169.254.7.7", "172.16.5.5", "192.0.0.8", "192.0.2.1", "192.168.9.9"),
        *("198.51.100.1", "203.0.113.5", "240.0.0.1"),
        # Of the space this lab is in, but not of the outside's own network.
        "198.19.250.1",
    ],
    "ipv6": [
        "fd00:dead::1",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "64:ff9b:1::1",
        "fec0::1",
        "::5",
        "fd58:656e:5ec:fff::1",
    ],
}
# Some kernels forward none of these on their own; that they are counted shows who stopped them.
MARTIANS = {"ipv4": ["0.0.0.9", "224.0.0.9"], "ipv6": []}


@dataclass(frozen=True)
class Forged:
    """A class of forged packets: who sends them, what they say, and what counts them, if anything does."""

    name: str
    # Of 8 characters, so that a fragment can carry it.
    mark: str
    counter: str
    source: str
    target: str
    kind: str = "udp"
    port: int = 4000
    sender: str = "outsider"
    # Whether it arrives, whatever the kernel, as long as nobody filters.
    passes: bool = True


def classes(gateway: str) -> list[Forged]:
    """Everything that must not pass this gateway."""
    own = ADDRESSES[gateway]
    found = []
    for family in FAMILIES:
        node2, node3 = ADDRESSES["node2"]["clusterb"][family], ADDRESSES["node3"]["clustera"][family]
        six = family == "ipv6"

        def add(name: str, *rest: Any, family: str = family, **more: Any) -> None:
            mark = f"<{GATEWAYS.index(gateway)}-{len(found):04}>"
            found.append(Forged(f"{gateway}-{family}-{name}", mark, *rest, **more))

        target = NODE[family]
        add("cluster", "spoofed_cluster", node2, target)
        add("cluster-subnet", "spoofed_cluster", node3, target)
        add("cluster-fragments", "spoofed_cluster", node2, target, kind="udp-fragments")
        add("cluster-syn-fragments", "spoofed_cluster", node2, target, kind="tcp-fragments", port=8002)
        add("cluster-to-relocation", "spoofed_cluster", node2, target, kind="tcp", port=8002)
        # The kernel calls it a martian on IPv4; on IPv6 it does not care.
        add("gateway-outside", "spoofed_gateway", own["outside"][family], target, passes=six)
        add("gateway-inside", "spoofed_gateway", own["clustera"][family], target, passes=six)
        add("gateway-fragments", "spoofed_gateway", own["outside"][family], target, kind="udp-fragments", passes=six)
        add("to-the-gateway", "spoofed_cluster", node2, own["outside"][family], passes=False)
        add("from-the-gateway-to-it", "spoofed_gateway", own["outside"][family], own["outside"][family], passes=False)
        for number, source in enumerate(BOGONS[family]):
            add(f"bogon{number}", "spoofed_bogon", source, target)
        for number, source in enumerate(MARTIANS[family]):
            add(f"martian{number}", "spoofed_bogon", source, target, passes=False)
        if not six:
            # It is one of the gateway's own, too.
            add("loopback", "spoofed_gateway", "127.0.0.1", target, passes=False)
        add("bogon-fragments", "spoofed_bogon", BOGONS[family][0], target, kind="tcp-fragments")
        add("guests", "spoofed_bogon", ADDRESSES["guest1"]["guests"][family], target)
        routed = "2002:c058:6301::7" if six else "192.88.99.7"
        add("reverse-path", "spoofed_reverse_path", routed, target)
        for port in (8002, 8003):
            for kind in ("tcp", "tcp-ack", "tcp-fragments", *(() if six else ("tcp-tiny",))):
                add(f"relocation-{port}-{kind}", "relocation_rejected", OWN[family], target, kind=kind, port=port)
        if six:
            add("cluster-options", "spoofed_cluster", node2, target, kind="tcp-options", port=8002)
            add("relocation-options", "relocation_rejected", OWN[family], target, kind="tcp-options", port=8002)
        guest = ADDRESSES["guest1"]["guests"][family]
        add("guest-relocation", "relocation_rejected", guest, target, kind="tcp", port=8002, sender="guest1")
        add("guest-as-node", "spoofed_cluster", node2, target, kind="tcp", port=8002, sender="guest1")
        out = OWN[family]
        add("inside-as-outsider", "spoofed_inside", out, out, sender="node1")
        add("inside-as-bogon", "spoofed_inside", BOGONS[family][0], out, sender="node1")
        add("guest-as-other", "spoofed_inside", BOGONS[family][1], out, sender="guest1")
        # On IPv4 the kernel itself drops it, on the way to where it would be counted.
        counter = "spoofed_gateway" if six else ""
        add("inside-as-gateway", counter, own["outside"][family], out, sender="node1", passes=six)
    return found


def fire(machines: dict[str, Any], gateway: str, volley: list[Forged]) -> dict[str, int]:
    """Send COUNT packets of each class through the gateway; return how many frames of each went out."""
    frames: dict[str, int] = {}
    for sender in sorted({forged.sender for forged in volley}):
        network = next(iter(ADDRESSES[sender]))
        mac = machines[gateway].check_output(f"cat /sys/class/net/{network}0/address")
        mine = [forged for forged in volley if forged.sender == sender]
        packets = [{**asdict(forged), "count": COUNT} for forged in mine]
        command = f"echo {shlex.quote(json.dumps(packets))} | python3 /usr/local/sbin/forge {network}0 {mac}"
        sent = json.loads(machines[sender].check_output(command))
        frames |= {forged.name: number for forged, number in zip(mine, sent, strict=True)}
    time.sleep(2)
    return frames


def captured(machines: dict[str, Any]) -> dict[str, int]:
    """How many packets of each mark have arrived anywhere."""
    found: dict[str, int] = {}
    for name in CAPTURING:
        for line in machines[name].check_output("cat /run/capture.log").split():
            found[line] = found.get(line, 0) + 1
    return found


def forget(machines: dict[str, Any]) -> None:
    for name in CAPTURING:
        machines[name].check_output("truncate -s 0 /run/capture.log")
