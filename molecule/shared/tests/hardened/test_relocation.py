# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can relocate to whom, tried from the machines themselves, in every scenario."""

import json
import re
import shlex
import subprocess

import pytest
from labtest import ADDRESSES, NODES, SCENARIO, ansible

# The network that relocation takes place in; None: in none.
RELOCATION_NETWORK = {
    "isolated_management": "management",
    "firewalled_subnet": "front",
    "untrusted_subnet": None,
    "secure_tunnel": "front",
    # isolated_management again, under the other tool stack.
    "xl": "management",
}[SCENARIO]
TOOLSTACK = "xl" if SCENARIO == "xl" else "xend"
BOUND_TO_INTERFACE = SCENARIO in ("isolated_management", "xl")
XEND_PORTS = (8000, 8002, 8003, 8006, 9363)
GUARDED_PORTS = (8002, 8003)

# Connects to each target and waits for what xend's stand-in, or an ssh server, says to a peer that it admits.
KNOCK = """
import json, socket, sys
def knock(address, port):
    try:
        with socket.create_connection((address, port), timeout=15) as connection:
            return "admitted" if connection.recv(16)[:6] in (b"ready\\n", b"SSH-2.") else "turned away"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return str(error)
print(json.dumps([knock(*target) for target in json.loads(sys.argv[1])]))
"""
# Listens on a port on every address of both families, saying what xend would, until it is ended.
SQUAT = """
import socket, sys
server = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"ready\\n")
    connection.close()
"""


def knock(machine, targets):
    answer = machine.check_output(f"python3 -c {shlex.quote(KNOCK)} {shlex.quote(json.dumps(targets))}")
    return dict(zip(map(tuple, targets), json.loads(answer), strict=True))


def all_targets(source):
    return [
        (address, port)
        for node in NODES
        if node != source
        for families in ADDRESSES[node].values()
        for address in families.values()
        for port in GUARDED_PORTS
    ]


def expected(source):
    """What the scenario admits from this machine: one address and port of each node, and nothing else.

    isolated_management admits the peers; firewalled_subnet, told the subnet, whoever has an address in it.
    """
    open_targets = set()
    if source in NODES or (SCENARIO == "firewalled_subnet" and RELOCATION_NETWORK in ADDRESSES[source]):
        open_targets = {
            (ADDRESSES[node][RELOCATION_NETWORK]["ipv4"], 8002)
            for node in NODES
            if node != source and RELOCATION_NETWORK
        }
    return {target: "admitted" if target in open_targets else "refused" for target in all_targets(source)}


@pytest.mark.parametrize("source", [*NODES, "outsider", "gateway1"])
def test_only_peers_are_admitted_and_all_others_get_a_reject(machines, source):
    assert knock(machines[source], all_targets(source)) == expected(source)


def test_relocation_listens_on_the_one_address_of_the_scenario(node):
    ports = " or ".join(f"sport = :{port}" for port in XEND_PORTS)
    listening = [line.split()[3] for line in node.check_output(f"ss -Hltn '{ports}'").splitlines()]
    own = ADDRESSES[node.check_output("hostname")]
    wanted = [f"{own[RELOCATION_NETWORK]['ipv4']}:8002"] if RELOCATION_NETWORK else []
    # Where the tunnel comes out.
    wanted += ["127.0.0.1:8002"] if SCENARIO == "secure_tunnel" else []
    assert sorted(listening) == sorted(wanted)


@pytest.mark.parametrize("source", ["node2", "outsider"])
def test_the_guard_holds_though_something_else_listens(machines, source):
    port, victim = 8003, machines["node1"]
    victim.check_output(
        f"systemd-run --quiet --collect --unit=squatter python3 -c {shlex.quote(SQUAT)} {port} && sleep 1"
        f" && ss -Hltn 'sport = :{port}' | grep -q {port}"
    )
    try:
        targets = [(address, port) for families in ADDRESSES["node1"].values() for address in families.values()]
        assert set(knock(machines[source], targets).values()) == {"refused"}
    finally:
        victim.check_output("systemctl stop squatter")


@pytest.mark.skipif(not BOUND_TO_INTERFACE, reason="only isolated_management is bound to an interface")
def test_the_way_a_packet_came_in_counts(machines):
    """The management address answers on the management network only, though the kernel would answer on any."""
    address = ADDRESSES["node1"]["management"]["ipv4"]
    front = ADDRESSES["node1"]["front"]["ipv4"]
    node2 = machines["node2"]
    node2.check_output(f"ip route add {address}/32 via {front} src {ADDRESSES['node2']['management']['ipv4']}")
    try:
        assert knock(node2, [(address, 8002)]) == {(address, 8002): "refused"}
    finally:
        node2.check_output(f"ip route del {address}/32")


def test_the_guard_is_loaded_at_boot_before_the_network(node):
    unit = node.check_output("systemctl show -p ActiveState,UnitFileState,Before xensec-firewall-relocation")
    assert "UnitFileState=enabled" in unit
    assert "network-pre.target" in unit
    assert "tcp dport" in node.check_output("nft list table inet xensec_relocation")


@pytest.mark.skipif(TOOLSTACK != "xend", reason="xl has no configuration that the role edits")
def test_the_original_configuration_is_on_record(node):
    record = json.loads(node.file("/var/lib/xensec/xend_config.json").content_string)
    assert list(record["files"]) == ["/etc/xen/xend-config.sxp"]
    assert node.file("/var/lib/xensec/xend_config.json").mode == 0o600


@pytest.mark.skipif(SCENARIO != "untrusted_subnet", reason="tried once, under untrusted_subnet")
def test_the_roll_out_stops_at_a_canary_that_fails():
    variables = json.dumps({"dom0_firewall_management_sources": []})
    done = subprocess.run(
        ansible("ansible-playbook", "--extra-vars", variables, "xensec.hardening.harden"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "dom0_firewall_management_sources is empty" in done.stdout + done.stderr
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    recap = dict(re.findall(r"^(node\d) +: (.*)$", plain, re.M))
    assert "failed=1" in recap["node1"]
    hardening = plain.split("PLAY [Harden the nodes]", 1)[1].split("PLAY RECAP", 1)[0]
    assert "[node1]" in hardening
    for node in ("node2", "node3"):
        # Read before the first batch, and then left alone.
        assert f"[{node}]" not in hardening
        assert re.match(r"ok=\d+ +changed=0 +unreachable=0 +failed=0", recap[node])
