# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dom0's packet filter, scanned from a peer, an outsider and a guest."""

import json
import shlex
import subprocess
import time

import pytest
from labtest import ADDRESSES, INVENTORY, NODES
from portscan import SCAN

GUESTS = INVENTORY["vars"]["lab_guests"]
# Of what listens (22 3128 5000 6000 7003 8002 8443 9100 9200), who may reach what on the front network.
ADMITTED = {
    "peer": {"ipv4": [7003, 8002, 8443, 9100], "ipv6": [7003, 8443, 9100]},
    "outsider": {"ipv4": [7003, 8443], "ipv6": [7003, 8443]},
    "guest": {"ipv4": [3128], "ipv6": [3128]},
}
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=4).close()
    print("open")
except OSError as error:
    print(type(error).__name__)
"""


def in_guest(guest, *command):
    """Run a command inside of a guest, which no test reaches over the network it is there to try."""
    return subprocess.run(
        ["podman", "exec", GUESTS[guest]["container"], *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def scan(machines, source, address):
    command = ["python3", "-c", SCAN, address]
    if source in GUESTS:
        return json.loads(in_guest(source, *command))
    return json.loads(machines[source].check_output(" ".join(map(shlex.quote, command))))


def source_of(kind, node):
    """A machine of that kind, the guest being one of the node's own."""
    if kind == "peer":
        return NODES[NODES.index(node) - 1]
    return kind if kind == "outsider" else next(guest for guest in GUESTS if GUESTS[guest]["node"] == node)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("kind", ["peer", "outsider", "guest"])
@pytest.mark.parametrize("target", NODES)
def test_a_full_scan_finds_the_allow_list_and_nothing_else(machines, target, kind, family):
    address = ADDRESSES[target]["front"][family]
    assert scan(machines, source_of(kind, target), address) == [ADMITTED[kind][family], {}, 65535]


def test_the_management_network_gets_ssh(machines):
    address = ADDRESSES["node1"]["management"]["ipv4"]
    assert scan(machines, "node2", address) == [[22, 7003, 8443, 9200], {}, 65535]


@pytest.mark.parametrize(
    "source, target",
    [("guest2", "guest5"), ("guest1", "guest2"), ("guest4", "guest1"), ("guest4", "gateway"), ("outsider", "guest4")],
)
@pytest.mark.parametrize("bridge_filtering", [0, 1])
def test_guests_are_untouched_among_themselves(machines, source, target, bridge_filtering):
    """The packet filter of Dom0 is not the guests', not even once Xen has turned bridge filtering on."""
    for node in NODES:
        machines[node].check_output(
            f"sysctl -qw net.bridge.bridge-nf-call-iptables={bridge_filtering}"
            f" net.bridge.bridge-nf-call-ip6tables={bridge_filtering}"
        )
    if target == "gateway":
        address, port = ADDRESSES["gateway1"]["front"]["ipv4"], 22
    else:
        address, port = GUESTS[target]["ipv4"], 4711
        subprocess.run(
            ["podman", "exec", "--detach", GUESTS[target]["container"], "timeout", "20", "nc", "-lk", str(port)],
            check=True,
        )
        time.sleep(1)
    command = ["python3", "-c", CONNECT, address, str(port)]
    if source in GUESTS:
        answer = in_guest(source, *command)
    else:
        answer = machines[source].check_output(" ".join(map(shlex.quote, command)))
    assert answer.strip() == "open"
    for node in ("node4", "node5"):
        machines[node].check_output("sysctl -q --system")


def test_a_guest_that_takes_a_managers_address_is_still_a_guest():
    """It comes in by its own interface, whatever address it bears."""
    guest, forged = "guest2", "198.18.255.77"
    node = GUESTS[guest]["node"]
    in_guest(guest, "ip", "address", "add", f"{forged}/32", "dev", "eth0")
    try:
        answer = in_guest(guest, "python3", "-c", CONNECT, ADDRESSES[node]["front"]["ipv4"], "22")
        assert answer.strip() == "ConnectionRefusedError"
    finally:
        in_guest(guest, "ip", "address", "del", f"{forged}/32", "dev", "eth0")


def test_dom0_still_reaches_its_guests(machines):
    subprocess.run(
        ["podman", "exec", "--detach", GUESTS["guest2"]["container"], "timeout", "20", "nc", "-lk", "4712"], check=True
    )
    time.sleep(1)
    command = ["python3", "-c", CONNECT, GUESTS["guest2"]["ipv4"], "4712"]
    assert machines["node2"].check_output(" ".join(map(shlex.quote, command))).strip() == "open"


def test_the_rules_of_others_are_as_they_were(node):
    assert node.check_output("/usr/local/sbin/foreign show") == node.check_output("cat /run/foreign.loaded")


def test_a_refused_packet_that_is_no_tcp_gets_an_answer(machines):
    """UDP to a port nobody admits comes back as administratively prohibited, not as silence."""
    script = (
        "import socket,sys; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3);"
        "s.setsockopt(0, 11, 1); s.connect((sys.argv[1], 5353)); s.send(b'x')\n"
        "try: s.recv(1)\nexcept OSError as error: print(error.errno)"
    )
    for target in NODES:
        address = ADDRESSES[target]["front"]["ipv4"]
        source = source_of("peer", target)
        answer = machines[source].check_output(f"python3 -c {shlex.quote(script)} {address}")
        assert answer.strip() == "113"


def test_a_restart_of_nftables_leaves_our_rules(machines):
    node = machines["node2"]
    try:
        for action in ("restart", "reload", "stop", "start"):
            # Ours follows on the heels of what it waits for.
            node.check_output(f"systemctl {action} nftables; sleep 2")
            if action != "stop":
                assert "jump refuse" in node.check_output("nft list table inet xensec_dom0")
    finally:
        node.check_output("systemctl stop nftables; systemctl start xensec-firewall-dom0; /usr/local/sbin/foreign load")
