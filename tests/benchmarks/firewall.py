# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a packet filter of ours costs: Dom0's own, and the perimeter's in front of it.

New connections per second, by the number of admitted sources, beside the page's own way, an iptables rule for each source;
and what goes through a connection that is there already, beside no packet filter at all.

Three network namespaces of its own in a row: a client, a gateway and a server. Each variant is loaded in turn, round by
round, so that whatever else the machine does falls on all of them alike. The figures are ratios to the first variant. The
client's own address is the last of the sources; the rest of them are addresses nobody has.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path

from figures import Ratio, draw, ratios, table

ROOT = Path(__file__).resolve().parents[2]
for name, folder in (
    ("ansible_collections", None),
    ("ansible_collections.xensec", None),
    ("ansible_collections.xensec.hardening", ROOT),
):
    package = types.ModuleType(name)
    package.__path__ = [str(folder)] if folder else []
    sys.modules[name] = package

from ansible_collections.xensec.hardening.plugins.plugin_utils import firewall, perimeter  # noqa: E402

CLIENT, GATEWAY, SERVER = (f"xensec-bench-{os.getpid()}-{letter}" for letter in "cgs")
# Each link has four addresses: the gateway's is the first, the other's the second.
LINKS = {"outside0": (CLIENT, "198.18.250"), "inside0": (SERVER, "198.18.251")}
ADDRESS = {end: f"{net}.2" for end, net in LINKS.values()}
PORT = 4711
LISTEN = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=1024)
print("ready", flush=True)
while True:
    connection = server.accept()[0]
    # Whoever sends is read to the end; a connection that is reset was for itself.
    try:
        while connection.recv(1 << 20):
            pass
    except ConnectionResetError:
        pass
    connection.close()
"""
SEND = """
import socket, sys, time
block, sent = bytes(1 << 18), 0
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    connection.sendall(block)
    sent += len(block)
print(sent)
"""
CONNECT = """
import socket, sys, time
end, count = time.monotonic() + float(sys.argv[3]), 0
while time.monotonic() < end:
    connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
    # A reset leaves no connection waiting behind, so the ports last.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    connection.close()
    count += 1
print(count)
"""


def run(*command: str, stdin: str | None = None, namespace: str | None = None) -> str:
    prefix = ("ip", "netns", "exec", namespace) if namespace else ()
    return subprocess.run([*prefix, *command], input=stdin, capture_output=True, text=True, check=True).stdout


def sources(number: int) -> list[str]:
    """That many addresses, none of them next to another, the client's own the last."""
    others = (
        f"10.{index >> 15 & 127}.{index >> 7 & 255}.{index & 126 | 1}/32" for index in range(0, 2 * number - 2, 2)
    )
    return [*others, f"{ADDRESS[CLIENT]}/32"]


def unfiltered() -> None:
    for namespace in (SERVER, GATEWAY):
        run("nft", "flush", "ruleset", namespace=namespace)
        for chain in ("INPUT", "FORWARD"):
            run("iptables", "-F", chain, namespace=namespace)


def ruleset(text: str, namespace: str) -> Callable[[], None]:
    """What loads one of our rulesets, alone."""

    def load() -> None:
        unfiltered()
        run("nft", "-f", "-", stdin=text, namespace=namespace)

    return load


def own_door(number: int) -> Callable[[], None]:
    """Dom0's packet filter, admitting that many sources."""
    service = firewall.Service("bench", "tcp", (str(PORT),), tuple(sources(number)), ())
    return ruleset(firewall.nftables([service], []), SERVER)


def in_front(number: int) -> Callable[[], None]:
    """The perimeter's packet filter, rejecting whatever comes from outside but from that many sources."""
    client, server = (f"{net}.0/30" for _end, net in LINKS.values())

    def interface(name: str) -> dict[str, object]:
        net = LINKS[name][1]
        own = {"ipv4": [{"address": f"{net}.1", "prefix": 30}], "ipv6": [], "routes": [f"{net}.0/30"]}
        return {**own, "bridge": None, "default_route": name == "outside0", "rp_filter": 0}

    settings = {
        **{"outside_interfaces": ["outside0"], "outside_networks": [client], "cluster_networks": [server]},
        **{"inside_networks": [], "relocation_ports": [8002, 8003], "libvirt": False, "reverse_path": "auto"},
        **{"forward_policy": "reject", "precheck": False, "untried_platforms": False, "gateways": ["bench"]},
        **{"node_ports": [22], "services": [{"name": "bench", "ports": [PORT], "sources": sources(number)}]},
    }
    facts = {
        "platform": {"id": "debian", "like": []},
        "interfaces": {name: interface(name) for name in LINKS},
        "control": None,
        "firewall_managers": [],
    }
    return ruleset(perimeter.perimeter_firewall_plan(settings, "bench", facts)["nftables"], GATEWAY)


def linear(number: int, namespace: str, chain: str) -> Callable[[], None]:
    """The page's own way: a rule of iptables for each source."""

    def load() -> None:
        unfiltered()
        rules = [f"-A {chain} -s {source} -p tcp --dport {PORT} -j ACCEPT" for source in sources(number)]
        text = "\n".join(["*filter", *rules, f"-A {chain} -p tcp --dport {PORT} -j REJECT", "COMMIT", ""])
        run("iptables-restore", stdin=text, namespace=namespace)

    return load


def rate(program: str, seconds: float) -> float:
    """What the client counts in a second: connections, or bytes."""
    counted = run(sys.executable, "-c", program, ADDRESS[SERVER], str(PORT), str(seconds), namespace=CLIENT)
    return int(counted) / seconds


def wire() -> None:
    for namespace in (CLIENT, GATEWAY, SERVER):
        run("ip", "netns", "add", namespace)
    for name, (end, net) in LINKS.items():
        run("ip", "link", "add", name, "netns", GATEWAY, "type", "veth", "peer", "name", "bench0", "netns", end)
        for namespace, device, number in ((GATEWAY, name, 1), (end, "bench0", 2)):
            run("ip", "address", "add", f"{net}.{number}/30", "dev", device, namespace=namespace)
            run("ip", "link", "set", device, "up", namespace=namespace)
        run("ip", "route", "add", "default", "via", f"{net}.1", namespace=end)
    run("sysctl", "-qw", "net.ipv4.ip_forward=1", namespace=GATEWAY)


def compare(
    heading: str, variants: Mapping[str, Callable[[], None]], program: str, rounds: int, seconds: float
) -> list[Ratio]:
    """Measure each variant in turn; print and return the ratios to the first."""
    rates: dict[str, list[float]] = {name: [] for name in variants}
    loads: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        print(f"bench: {heading}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for name, load in variants.items():
            started = time.monotonic()
            load()
            loads[name].append(time.monotonic() - started)
            rates[name].append(rate(program, seconds))
    took = {name: f"{statistics.median(times):.2f} s to load" for name, times in loads.items()}
    found = ratios(rates, next(iter(variants)), took)
    table(heading, found)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="per variant and round")
    arguments = parser.parse_args()
    if os.geteuid():
        print("bench: network namespaces need root: sudo make bench", file=sys.stderr)
        return 1
    sizes, fewer = (10, 1000, 100_000), (10, 1000, 10_000)
    doors = {f"Dom0, {number:,} sources": own_door(number) for number in sizes}
    doors |= {f"an iptables rule each, {number:,} sources": linear(number, SERVER, "INPUT") for number in fewer}
    fronts = {f"perimeter, {number:,} sources": in_front(number) for number in sizes}
    fronts |= {f"an iptables rule each, {number:,} sources": linear(number, GATEWAY, "FORWARD") for number in fewer}
    through = {
        "no packet filter": unfiltered,
        "Dom0, 1,000 sources": doors["Dom0, 1,000 sources"],
        "perimeter, 1,000 sources": fronts["perimeter, 1,000 sources"],
    }
    listener = None
    try:
        wire()
        listener = subprocess.Popen(
            ["ip", "netns", "exec", SERVER, sys.executable, "-c", LISTEN, ADDRESS[SERVER], str(PORT)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert listener.stdout and listener.stdout.readline() == "ready\n"
        for name, heading, variants, program in (
            ("dom0", "New connections per second to Dom0", doors, CONNECT),
            ("perimeter", "New connections per second through the perimeter", fronts, CONNECT),
            ("throughput", "Bytes per second through a connection that is there", through, SEND),
        ):
            draw(name, heading, compare(heading, variants, program, arguments.rounds, arguments.seconds))
    finally:
        if listener:
            listener.kill()
            listener.wait()
        for namespace in (CLIENT, GATEWAY, SERVER):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
