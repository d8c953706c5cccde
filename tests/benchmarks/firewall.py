# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What opening a connection costs through Dom0's packet filter, by the number of admitted sources.

Two network namespaces of its own, a client and a server, joined by a veth pair. Each variant is loaded in turn, round by
round, so that whatever else the machine does falls on all of them alike. The figures are ratios to the first variant.
The client's own address is the last of the sources; the rest of them are addresses nobody has.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for name, folder in (
    ("ansible_collections", None),
    ("ansible_collections.xensec", None),
    ("ansible_collections.xensec.hardening", ROOT),
):
    package = types.ModuleType(name)
    package.__path__ = [str(folder)] if folder else []
    sys.modules[name] = package

from ansible_collections.xensec.hardening.plugins.plugin_utils import firewall  # noqa: E402

SERVER, CLIENT = f"xensec-bench-{os.getpid()}-s", f"xensec-bench-{os.getpid()}-c"
ADDRESS = {SERVER: "198.18.250.1", CLIENT: "198.18.250.2"}
PORT = 4711
LISTEN = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=1024)
print("ready", flush=True)
while True:
    server.accept()[0].close()
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
    run("nft", "flush", "ruleset", namespace=SERVER)
    run("iptables", "-F", namespace=SERVER)


def ours(number: int) -> Callable[[], None]:
    def load() -> None:
        unfiltered()
        service = firewall.Service("bench", "tcp", (str(PORT),), tuple(sources(number)), ())
        run("nft", "-f", "-", stdin=firewall.nftables([service], []), namespace=SERVER)

    return load


def linear(number: int) -> Callable[[], None]:
    """The page's own way: a rule of iptables for each source."""

    def load() -> None:
        unfiltered()
        rules = [f"-A INPUT -s {source} -p tcp --dport {PORT} -j ACCEPT" for source in sources(number)]
        text = "\n".join(["*filter", *rules, f"-A INPUT -p tcp --dport {PORT} -j REJECT", "COMMIT", ""])
        run("iptables-restore", stdin=text, namespace=SERVER)

    return load


def measure(seconds: float) -> float:
    count = int(run(sys.executable, "-c", CONNECT, ADDRESS[SERVER], str(PORT), str(seconds), namespace=CLIENT))
    return count / seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="per variant and round")
    arguments = parser.parse_args()
    if os.geteuid():
        print("bench: network namespaces need root: sudo make bench", file=sys.stderr)
        return 1
    variants = {f"ours, {number} sources": ours(number) for number in (10, 1000, 10_000)}
    variants |= {f"one iptables rule each, {number} sources": linear(number) for number in (10, 1000, 10_000)}
    rates: dict[str, list[float]] = {name: [] for name in variants}
    loads: dict[str, list[float]] = {name: [] for name in variants}
    listener = None
    try:
        for namespace in (SERVER, CLIENT):
            run("ip", "netns", "add", namespace)
        run("ip", "link", "add", "bench0", "netns", SERVER, "type", "veth", "peer", "name", "bench0", "netns", CLIENT)
        for namespace in (SERVER, CLIENT):
            run("ip", "address", "add", f"{ADDRESS[namespace]}/30", "dev", "bench0", namespace=namespace)
            run("ip", "link", "set", "bench0", "up", namespace=namespace)
        listener = subprocess.Popen(
            ["ip", "netns", "exec", SERVER, sys.executable, "-c", LISTEN, ADDRESS[SERVER], str(PORT)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert listener.stdout and listener.stdout.readline() == "ready\n"
        for number in range(arguments.rounds):
            print(f"bench: round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
            for name, load in variants.items():
                started = time.monotonic()
                load()
                loads[name].append(time.monotonic() - started)
                rates[name].append(measure(arguments.seconds))
    finally:
        if listener:
            listener.kill()
            listener.wait()
        for namespace in (SERVER, CLIENT):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
    first = next(iter(variants))
    print(f"{'new connections per second, as a ratio to ' + first:52} {'median':>7} {'lowest':>7} {'highest':>7}  load")
    for name, measured in rates.items():
        ratios = sorted(rate / base for rate, base in zip(measured, rates[first], strict=True))
        seconds = statistics.median(loads[name])
        print(f"  {name:50} {statistics.median(ratios):7.2f} {ratios[0]:7.2f} {ratios[-1]:7.2f}  {seconds:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
