# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster that was audited, as large as wanted: what a report is made of, and what its page is tried with."""

from __future__ import annotations

from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.audit_report import audit_report
from ansible_collections.xensec.hardening.plugins.plugin_utils.reachability import is_admitted, relocation_targets

PAGE = "Securing Xen"
CIS = "CIS Benchmark for Xen 3.2"
NIST = "NIST SP 800-125A"

# (id, severity, title, why, source, what is found where it fails, what is expected, remedy)
CONTROLS: list[tuple[str, str, str, str, list[str], Any, Any, str]] = [
    (
        "relocation-hosts-allow-everybody",
        "critical",
        "xend's list of allowed hosts admits nobody but the peers",
        "An empty pattern, which a double space makes, matches every host: whoever reaches the port can start guests here.",
        [f"{PAGE}, Relocation", f"{CIS}, 3.10"],
        ["", "^192\\.0\\.2\\.2$"],
        ["^192\\.0\\.2\\.2$"],
        "Run the role xend_relocation, which writes one anchored pattern for each peer.",
    ),
    (
        "relocation-port-open",
        "critical",
        "Nobody but the peers reaches the relocation port",
        "Relocation is plain text without authentication: a guest's memory can be read and replaced on the way.",
        [f"{PAGE}, Relocation", f"{CIS}, 3.5", f"{CIS}, 3.9"],
        [{"address": "0.0.0.0", "port": 8002, "process": "python", "unit": "xend.service"}],
        [{"address": "198.51.100.1", "port": 8002}],
        "Set xend_relocation_scenario and run the role xend_relocation.",
    ),
    (
        "xen-api-without-authentication",
        "critical",
        "xend's API is not on the network without authentication",
        "A TCP entry of xen-api-server without pam authenticates nobody, whatever the comment in the file says.",
        [f"{CIS}, 3.4"],
        "(xen-api-server ((9363 none) (unix none)))",
        "(xen-api-server ((unix none)))",
        "Remove the TCP entries from xen-api-server and restart xend; guests keep running.",
    ),
    (
        "xmlrpc-tcp",
        "critical",
        "xend's XML-RPC server is on its socket only",
        "Who connects to it is root on Dom0.",
        [f"{CIS}, 3.7"],
        {"xend-tcp-xmlrpc-server": "yes", "xend-tcp-xmlrpc-server-address": ""},
        {"xend-tcp-xmlrpc-server": "no"},
        "Set (xend-tcp-xmlrpc-server no) and restart xend.",
    ),
    (
        "relocation-key-unrestricted",
        "critical",
        "Every key by which a peer logs in as root has a forced command",
        "A key for migration alone is as good as root on the target; one without a forced command is a shell besides.",
        [PAGE],
        ["ssh-ed25519 SHA256:0o4jM2p5zZ0dPBqY6e0Wd9nTnJp0dSxXvG8m4m8b2fA root@node2"],
        [],
        "Take it out of /root/.ssh/authorized_keys; the role xend_relocation gives the peers keys of their own.",
    ),
    (
        "firewall-input-ipv4",
        "critical",
        "What is not admitted to Dom0 is rejected, on IPv4",
        "A service that somebody starts tomorrow is reachable at once where the rule is to accept.",
        [f"{PAGE}, Firewall", f"{NIST}, HY-SR-14"],
        {"family": "ipv4", "hook": "input", "policy": "accept", "default": "accept"},
        {"default": "reject"},
        "Run the role dom0_firewall.",
    ),
    (
        "firewall-input-ipv6",
        "critical",
        "What is not admitted to Dom0 is rejected, on IPv6",
        "The page's rules are IPv4 only; a node with an IPv6 address is open by it.",
        [f"{PAGE}, Firewall"],
        {"family": "ipv6", "hook": "input", "policy": "accept", "default": "accept"},
        {"default": "reject"},
        "Run the role dom0_firewall, which treats both families alike.",
    ),
    (
        "vnc-bind",
        "high",
        "Guests' VNC consoles are on loopback",
        "A console is the guest's keyboard; a reboot from it often needs no password.",
        [f"{CIS}, 3.6"],
        [{"guest": "mail", "type": "vnc", "address": "0.0.0.0", "port": 5901}],
        [],
        "Set vnclisten = '127.0.0.1' for the guest, and reach its console through ssh.",
    ),
    (
        "vnc-password",
        "high",
        "VNC consoles have a password",
        "xend ships vncpasswd '': whoever reaches the port has the console.",
        [PAGE],
        "(vncpasswd '')",
        "a password",
        "Set vncpasswd in xend-config.sxp, or for each guest.",
    ),
    (
        "spice-bind",
        "high",
        "Guests' SPICE consoles are on loopback",
        "SPICE listens on every address where spicehost is not set.",
        [PAGE],
        [{"guest": "desk", "type": "spice", "address": "::", "port": 6000}],
        [],
        "Set spicehost = '127.0.0.1' for the guest.",
    ),
    (
        "sshd-password",
        "high",
        "sshd takes no passwords",
        "A password can be tried until it fits.",
        [f"{PAGE}, Users", NIST],
        {"passwordauthentication": "yes", "kbdinteractiveauthentication": "yes"},
        {"passwordauthentication": "no", "kbdinteractiveauthentication": "no"},
        "Run the role dom0_users with keys for the operators.",
    ),
    (
        "accounts-login",
        "high",
        "Nobody but the operators can log in",
        "Any local root exploit on Dom0 owns every guest.",
        [f"{PAGE}, Users"],
        ["backup", "jenkins", "olduser"],
        ["root"],
        "Name the operators in dom0_users_allowed and run the role dom0_users.",
    ),
    (
        "services-unknown",
        "high",
        "Dom0 runs no service that it does not need",
        "Each service more is one more way in.",
        [f"{PAGE}, Services", f"{NIST}, HY-SR-13"],
        ["apache2.service", "avahi-daemon.service", "cups.service", "rpcbind.socket"],
        [],
        "Run the role dom0_services; keep what you need with dom0_services_keep.",
    ),
    (
        "listeners-unknown",
        "high",
        "Nothing listens on Dom0 but what is admitted",
        "What listens and is not admitted is one mistake in the packet filter away from the network.",
        [f"{PAGE}, Services"],
        [{"address": "0.0.0.0", "port": 111, "process": "rpcbind", "unit": "rpcbind.socket"}],
        [],
        "Stop the service, or admit it with dom0_firewall_services.",
    ),
    (
        "firewall-bridge",
        "high",
        "Guests do not reach Dom0 over its bridges",
        "The interface that an inet chain sees is the bridge: only a bridge chain tells a guest from a neighbour.",
        [f"{PAGE}, Firewall"],
        {"family": "bridge", "hook": "input", "default": "accept"},
        {"default": "reject from vif*"},
        "Run the role dom0_firewall.",
    ),
    (
        "firewall-at-boot",
        "high",
        "The packet filter is loaded at boot, before the network",
        "Between the network and the filter Dom0 is open.",
        [f"{PAGE}, Firewall"],
        {"nftables.service": "disabled"},
        {"nftables.service": "enabled"},
        "Run the role dom0_firewall.",
    ),
    (
        "domains-migrate-at-shutdown",
        "high",
        "A node that shuts down does not send its guests away where migration is off",
        "XENDOMAINS_MIGRATE sends every guest to a host on shut-down.",
        [PAGE],
        "192.0.2.9 --live",
        "",
        "Empty XENDOMAINS_MIGRATE in /etc/default/xendomains.",
    ),
    (
        "relocation-address",
        "high",
        "Relocation listens on the management address only",
        "The page leaves the option open: it is xend-relocation-address.",
        [f"{PAGE}, Isolated management network", f"{CIS}, 3.9"],
        "0.0.0.0",
        "198.51.100.1",
        "Run the role xend_relocation with the scenario isolated_management.",
    ),
]
MORE = [
    ("sxp-first-entry", "high", "No option of xend is set twice", "The first of two entries wins, not the last."),
    (
        "sxp-pattern-escapes",
        "high",
        "xend reads its patterns as they are meant",
        "A dot is written as two backslashes.",
    ),
    ("hosts-allow-names", "high", "xend trusts addresses, not names", "A name is whatever the peer's DNS says."),
    ("http-server", "high", "xend's HTTP server is off", "It has no authentication."),
    ("relocation-ssl", "medium", "Relocation over TLS is not taken for authentication", "It verifies nobody."),
    ("relocation-sshd-terminal", "medium", "The relocation service gives no terminal", "It is for xl alone."),
    ("relocation-host-keys", "medium", "The peers' host keys are pinned", "Else the first answer is believed."),
    ("sysctl-rp-filter", "medium", "Spoofed sources are dropped", "The page asks for it at the perimeter."),
    ("sysctl-redirects", "medium", "ICMP redirects are not followed", "A neighbour could take over routes."),
    ("sysctl-source-route", "medium", "Source routes are not followed", "They lead round the packet filter."),
    ("sysctl-kptr", "medium", "Kernel addresses are hidden", "Exploits start from them."),
    ("sysctl-bpf", "medium", "Unprivileged BPF is off", "Many local root exploits came by it."),
    ("sysctl-ptrace", "medium", "Processes are not traced by others", "Keys are read from memory that way."),
    ("sysctl-userns", "medium", "Unprivileged user namespaces are off", "They widen what a user can attack."),
    ("os-prober", "medium", "os-prober is not installed", "It parses guests' file systems in Dom0."),
    ("automount", "medium", "Dom0 mounts nothing by itself", "A guest's file system is hostile input."),
    ("sudo-nopasswd", "medium", "sudo asks for a password", "A session left open would be root."),
    ("setuid-surplus", "medium", "No program is setuid but the needed", "Each is a way to root."),
    ("root-console", "medium", "Root logs in at the console only by password", "The console is physical."),
    ("uid-zero", "medium", "Root is the only account with uid 0", "Others escape every list of root's."),
    ("xenstore-permissions", "medium", "xenstored's socket is root's", "Who writes to it commands the tool stack."),
    ("libvirt-tcp", "medium", "libvirt does not listen on TCP", "Port 16509 has no authentication by default."),
    ("time-sync", "low", "The clock is synchronised", "Logs of several nodes are of use only then."),
    ("logs-persist", "low", "The journal survives a reboot", "What led up to it is lost otherwise."),
    ("updates", "low", "Security updates are installed", "Known holes are tried first."),
    ("banner", "low", "The login banner does not name versions", "It spares an attacker the search."),
    ("core-dumps", "low", "Core dumps are off", "They hold keys."),
    ("ipv6-router-advertisements", "low", "Router advertisements are not taken", "Any neighbour could be the router."),
]


def catalogue() -> list[dict[str, Any]]:
    rows = [
        *CONTROLS,
        *((*row, [PAGE], {"value": 1}, {"value": 0}, "Run xensec.hardening.harden.") for row in MORE),
    ]
    return [
        {
            "id": identifier,
            "severity": severity,
            "title": title,
            "why": why,
            "source": source,
            "remedy": remedy,
            "expression": "true",
            "expected": expected,
        }
        for identifier, severity, title, why, source, _found, expected, remedy in rows
    ]


FOUND = {row[0]: row[5] for row in CONTROLS}


def host_results(number: int, failing: int = 0, shift: int = 0) -> list[dict[str, Any]]:
    """What one node's controls came to; of every hundred, as many fail as asked for, other ones on other nodes."""
    results = []
    for index, control in enumerate(catalogue()):
        drawn = (index * 37 + (number % 5) * 11 + shift) % 100
        status = "fail" if drawn < failing else "pass"
        waiver = None
        if control["id"] in ("xmlrpc-tcp", "http-server", "relocation-ssl"):
            status = "not_applicable"
        elif control["id"] == "os-prober" and number % 3 == 2 and failing:
            status, waiver = "waived", {"reason": "The rescue team needs it until the move.", "expires": "2027-03-31"}
        elif control["id"] == "setuid-surplus" and number % 3 == 0 and failing:
            status = "error"
        found = FOUND.get(control["id"], {"value": 1})
        evidence = {
            "fail": found,
            "waived": ["os-prober 1.81"],
            "error": "the expression failed: JMESPath: unknown function lenght()",
            "not_applicable": None,
        }.get(status, control["expected"])
        results.append(
            {
                "id": control["id"],
                "status": status,
                "evidence": evidence,
                "expected": control["expected"],
                "waiver": waiver,
            }
        )
    return results


def node(number: int, size: int) -> dict[str, Any]:
    """A node with a management network, where its peers may connect, and a front one."""
    peers = {f"node{peer}": f"198.51.100.{peer}" for peer in range(1, size + 1) if peer != number}
    return {
        "xend_relocation_info": {
            "toolstack": {"detected": "xl"},
            "interfaces": {
                "management0": {"ipv4": [{"address": f"198.51.100.{number}", "prefix": 24}], "ipv6": []},
                "front0": {
                    "ipv4": [{"address": f"192.0.2.{number}", "prefix": 24}],
                    "ipv6": [{"address": f"2001:db8::{number:x}", "prefix": 64}],
                },
            },
        },
        "xend_relocation_plan": {
            "scenario": "isolated_management",
            "address": f"198.51.100.{number}",
            "ports": [8002],
            "guarded_ports": [8002, 8003],
            "peers": peers,
            "sources": sorted(peers.values()),
        },
    }


def probe(hosts: dict[str, dict[str, Any]], nodes: list[str], source: str, number: int) -> None:
    """Give a machine what it finds where every node keeps to its plan."""
    results = []
    for target in relocation_targets(hosts, nodes, source):
        own = f"2001:db8::{number:x}" if ":" in target["address"] else f"192.0.2.{number}"
        if target["address"].startswith("198.51.100.") and "xend_relocation_plan" in hosts[source]:
            own = f"198.51.100.{number}"
        admitted = is_admitted(hosts[target["name"]]["xend_relocation_plan"], own, target["address"], target["port"])
        state = "open" if admitted else "rejected"
        results.append({**target, "state": state, "source": own, "reason": None, "detail": "", "milliseconds": 1.0})
    hosts[source]["dom0_audit_probe"] = {"results": results}


def cluster(size: int = 3, failing: int = 0, shift: int = 0) -> dict[str, dict[str, Any]]:
    """The variables of that many nodes, of a gateway and of an outsider, after an audit that reached them all."""
    nodes = [f"node{number}" for number in range(1, size + 1)]
    hosts = {name: node(number, size) for number, name in enumerate(nodes, 1)}
    hosts |= {"gateway": {}, "outsider": {}}
    for number, name in enumerate(nodes, 1):
        probe(hosts, nodes, name, number)
        hosts[name]["dom0_audit_results"] = host_results(number, failing, shift)
    hosts["gateway"]["dom0_audit_results"] = [
        {**result, "status": "not_applicable", "evidence": None}
        if result["id"].split("-")[0] in ("relocation", "hosts", "vnc", "spice", "domains", "sxp")
        else result
        for result in host_results(1, 0)
    ]
    probe(hosts, nodes, "outsider", 250)
    return hosts


def lose(hosts: dict[str, dict[str, Any]], name: str) -> None:
    """Have a node be unreachable, for the audit and for the others."""
    hosts[name] = {}
    for variables in hosts.values():
        if "dom0_audit_probe" in variables:
            found = variables["dom0_audit_probe"]["results"]
            variables["dom0_audit_probe"] = {"results": [item for item in found if item["name"] != name]}


def answer(hosts: dict[str, dict[str, Any]], source: str, address: str, port: int, state: str) -> None:
    """Have one path be answered otherwise."""
    (found,) = [
        item
        for item in hosts[source]["dom0_audit_probe"]["results"]
        if (item["address"], item["port"]) == (address, port)
    ]
    found["state"] = state


def report(machines: dict[str, dict[str, Any]], **changed: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "hosts": list(machines),
        "nodes": [name for name in machines if name.startswith("node")],
        "gateways": [name for name in machines if name.startswith("gateway")],
        "probes": [name for name in machines if name.startswith("outsider")],
        "catalogue": catalogue(),
        "previous": None,
        "generated": "2026-11-20T09:00:00Z",
        "version": "0.1.0",
    }
    return audit_report(machines, **{**arguments, **changed})


def troubled(size: int = 4) -> dict[str, Any]:
    """A cluster in which a bit of everything is not as it should be, a week after one in which nearly all was."""
    before = report(cluster(size, 18, 8), generated="2026-11-18T06:30:00Z")
    hosts = cluster(size, 20)
    answer(hosts, "outsider", "192.0.2.1", 8002, "open")
    answer(hosts, "node1", "198.51.100.2", 8002, "filtered")
    lose(hosts, f"node{size}")
    return report(hosts, previous=before, generated="2026-11-25T06:30:00Z")
