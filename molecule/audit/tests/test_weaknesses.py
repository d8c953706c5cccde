# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After hardening: all holds; one weakness at a time is found, by exactly its controls; nothing differs afterwards."""

import os
import random
import sys
from pathlib import Path

import pytest
from labtest import NODES

sys.path.insert(0, str(Path(__file__).resolve().parent))
from audittest import audit, failing, play, snapshot

XEND = "/etc/xen/xend-config.sxp"
DOOR = "/etc/ssh/sshd_config.d/00-xensec.conf"
RELOAD = "nft -f /etc/xensec/firewall/dom0.nft; nft -f /etc/xensec/firewall/relocation.nft"
UNIT = "/etc/systemd/system/lab-extra.service"
NO_UNIT = f"systemctl disable --now lab-extra.service; rm {UNIT}; systemctl daemon-reload"
NO_USER = "userdel -r lab 2>/dev/null; ! id lab"


def unit(command):
    lines = f"[Service]\\nExecStart={command}\\n[Install]\\nWantedBy=multi-user.target\\n"
    return f"printf '{lines}' >{UNIT}; systemctl daemon-reload; systemctl enable --now lab-extra.service; sleep 1"


def listener(port):
    return unit(f"/bin/nc -lk {port}"), NO_UNIT


def edited(path, change, after="true"):
    """Change a file, and put it back with what there was to do afterwards."""
    return f"cp -a {path} /run/lab-kept; {change}; {after}", f"cp -a /run/lab-kept {path}; {after}"


def xend(*lines, after="true"):
    """Entries that come first in xend's configuration, and so count, in place of those there are."""
    names = "|".join(line.split()[0].strip("(") for line in lines)
    text = "".join(f"{line}\\n" for line in lines)
    change = f"""sed -Ei '/^\\(({names})[ )]/d' {XEND}; printf "{text}" >>{XEND}"""
    return edited(XEND, change, after)


def door(setting, value):
    return edited(DOOR, f"sed -i 's/^\\( *{setting}\\) .*/\\1 {value}/' {DOOR}")


def written(path, *lines):
    text = "".join(f"{line}\\n" for line in lines)
    return f'mkdir -p $(dirname {path}); printf "{text}" >{path}', f"rm {path}"


def nft(*commands):
    return "; ".join(f"nft '{command}'" for command in commands), RELOAD


RULE = "insert rule inet xensec_dom0"
LAB_TABLE = "nft delete table inet lab"
RESTART = "systemctl restart xend; sleep 1"

# name: (how it is planted, how it is taken back, the controls that fail)
WEAKNESSES = {
    "a service": (unit("/bin/sleep infinity"), NO_UNIT, {"services-needed"}),
    "a listener": (*listener(7000), {"services-needed", "services-listening"}),
    "telnet": (*listener(23), {"services-needed", "services-listening", "services-clear-text"}),
    "libvirt on TCP": (*listener(16509), {"services-needed", "services-listening", "services-libvirt-tcp"}),
    "os-prober": (*written("/usr/bin/os-prober", "#!/bin/sh"), {"services-os-prober"}),
    "udisks": (*written("/usr/libexec/udisks2/udisksd", "#!/bin/sh"), {"services-automount"}),
    "no default": (*nft("flush chain inet xensec_dom0 refuse"), {"firewall-default-ipv4", "firewall-default-ipv6"}),
    "no default for IPv6": (*nft(f"{RULE} refuse meta nfproto ipv6 accept"), {"firewall-default-ipv6"}),
    "no filter at boot": (
        "systemctl disable xensec-firewall-dom0",
        "systemctl enable xensec-firewall-dom0",
        {"firewall-boot"},
    ),
    "no neighbour discovery": (
        "nft delete rule inet xensec_dom0 input handle "
        "$(nft -a list chain inet xensec_dom0 input | sed -n 's/.*nd-neighbor-solicit.*handle //p')",
        RELOAD,
        {"firewall-neighbour-discovery"},
    ),
    "guests not filtered": (*nft("delete table bridge xensec_dom0"), {"firewall-guests"}),
    "guests filtered in vain": (
        *nft("delete table bridge xensec_dom0", f'{RULE} input iifname "vif*" drop'),
        {"firewall-guests", "firewall-guests-ineffective"},
    ),
    "guests cut off": (
        "ip link add labbr type bridge; nft add table inet lab; "
        "nft 'add chain inet lab f { type filter hook forward priority 0; policy drop; }'",
        f"{LAB_TABLE}; ip link delete labbr",
        {"firewall-forward"},
    ),
    "source checks everywhere": (
        "nft add table inet lab; nft 'add chain inet lab p { type filter hook prerouting priority 0; }'; "
        "nft 'add rule inet lab p fib saddr . iif oif missing drop'",
        LAB_TABLE,
        {"firewall-source-checks"},
    ),
    "a broad network": (
        *nft(f"{RULE} registered ip saddr 192.0.0.0/8 tcp dport 22 accept"),
        {"firewall-broad-sources"},
    ),
    "a rule twice": (*nft(*[f"{RULE} registered tcp dport 9 drop"] * 2), {"firewall-duplicates"}),
    "relocation for everybody": (*nft(f"{RULE} registered tcp dport 8002 accept"), {"relocation-admitted-to-all"}),
    "relocation not guarded": (
        *nft("flush chain inet xensec_dom0 refuse", "delete table inet xensec_relocation"),
        {"firewall-default-ipv4", "firewall-default-ipv6", "relocation-guarded-ipv4", "relocation-guarded-ipv6"},
    ),
    "a user": ("useradd -m -s /bin/bash lab; echo lab:x | chpasswd", NO_USER, {"users-operators-only"}),
    "an empty password": (
        "useradd -m -s /bin/bash lab; passwd -d lab",
        NO_USER,
        {"users-operators-only", "users-empty-password"},
    ),
    "a second root": (
        "useradd -o -u 0 -d /nonexistent -s /bin/bash lab",
        "sed -i '/^lab:/d' /etc/passwd /etc/shadow /etc/group /etc/gshadow",
        {"users-second-root"},
    ),
    "PAM passed by": (*written("/etc/pam.d/lab", "account required pam_permit.so"), {"users-pam"}),
    "ssh passwords": (*door("PasswordAuthentication", "yes"), {"ssh-passwords"}),
    "ssh keyboard-interactive": (
        *edited(DOOR, f"sed -Ei 's/^( *(KbdInteractive|ChallengeResponse)Authentication) .*/\\1 yes/' {DOOR}"),
        {"ssh-keyboard-interactive"},
    ),
    "ssh empty passwords": (*door("PermitEmptyPasswords", "yes"), {"ssh-empty-passwords"}),
    "ssh root by password": (*door("PermitRootLogin", "yes"), {"ssh-root-password"}),
    "ssh by host": (*door("HostbasedAuthentication", "yes"), {"ssh-host-based"}),
    "ssh forwarding": (*door("AllowTcpForwarding", "yes"), {"ssh-forwarding"}),
    "ssh tunnels": (*door("PermitTunnel", "yes"), {"ssh-forwarding"}),
    "ssh display": (*door("X11Forwarding", "yes"), {"ssh-agent-and-x11"}),
    "ssh files not checked": (*door("StrictModes", "no"), {"ssh-files-checked"}),
    "ssh keys elsewhere": (
        *edited("/etc/ssh/sshd_config", "echo 'TrustedUserCAKeys /etc/ssh/ca.pub' >>/etc/ssh/sshd_config"),
        {"ssh-keys-elsewhere"},
    ),
    "xend's HTTP server": (*xend("(xend-http-server yes)"), {"xend-http-server"}),
    "xend's XML-RPC server": (*xend("(xend-tcp-xmlrpc-server yes)"), {"xend-tcp-xmlrpc-server"}),
    "the Xen-API for everybody": (*xend("(xen-api-server ((9363)))"), {"xend-xen-api"}),
    "the Xen-API by password": (*xend("(xen-api-server ((9363 pam)))"), {"xend-xen-api-tcp"}),
    "everybody admitted": (*xend("(xend-relocation-hosts-allow '')"), {"xend-hosts-allow"}),
    "a space too many": (*xend("(xend-relocation-hosts-allow '^10.0.0.5$  ^10.0.0.6$')"), {"xend-hosts-allow"}),
    "an open end": (*xend("(xend-relocation-hosts-allow '^10.0.0.5')"), {"xend-hosts-allow-open-ended"}),
    "a name": (*xend("(xend-relocation-hosts-allow '^localhost$')"), {"xend-hosts-allow-names"}),
    "a broken pattern": (
        *xend("(xend-relocation-hosts-allow '(10.0.0.5$')"),
        {"xend-hosts-allow-broken"},
    ),
    "the first entry wins": (
        *edited(XEND, f"sed -i \"1i (xend-relocation-hosts-allow '')\" {XEND}"),
        {"xend-hosts-allow", "xend-repeated-options"},
    ),
    "no restart": (*xend("(xend-relocation-port 8003)", "(xend-relocation-ssl-port 8004)"), {"xend-restarted"}),
    "every address": (
        *xend("(xend-relocation-address '')", after=RESTART),
        {"xend-relocation-address", "relocation-listeners", "relocation-bound"},
    ),
    "relocation over SSL": (*xend("(xend-relocation-ssl-server yes)", after=RESTART), {"relocation-listeners"}),
    "no password of consoles": (*xend("(vncpasswd '')"), {"xend-vncpasswd"}),
    "consoles for everybody": (*xend("(vnc-listen '0.0.0.0')"), {"xend-vnc-listen"}),
    "a configuration for everybody": (f"chmod 644 {XEND}", f"chmod 640 {XEND}", {"xend-config-private"}),
    "a guest's VNC": (
        *written("/etc/xen/lab.cfg", "memory = 128", "vnc = 1", "vnclisten = '0.0.0.0'", "vncpasswd = 'x'"),
        {"console-vnc"},
    ),
    "a guest's SPICE": (
        *written("/etc/xen/auto/lab", "memory = 128", "spice = 1", "spicepasswd = 'x'"),
        {"console-spice"},
    ),
    "a guest without password": (
        *written("/etc/xen/lab.cfg", "memory = 128", "spice = 1"),
        {"console-spice", "console-password"},
    ),
}
# As many as fit, others each time; XENSEC_WEAKNESSES=100 tries all, XENSEC_SEED the same ones again.
SEED = os.environ.get("XENSEC_SEED") or str(random.SystemRandom().randrange(10**6))
TRIED = int(os.environ.get("XENSEC_WEAKNESSES") or 12)
CHOSEN = random.Random(SEED).sample(list(WEAKNESSES), min(TRIED, len(WEAKNESSES)))
BATCHES = [CHOSEN[at : at + len(NODES)] for at in range(0, len(CHOSEN), len(NODES))]


@pytest.fixture(scope="module")
def find(machines):
    """What the audit finds with a weakness planted: one on each node at a time."""
    results = {}

    def found(name):
        placed = next(list(zip(batch, NODES, strict=False)) for batch in BATCHES if name in batch)
        if name not in results:
            try:
                for other, node in placed:
                    machines[node].run_expect([0], WEAKNESSES[other][0])
                audited = audit()
            finally:
                for other, node in placed:
                    machines[node].run(WEAKNESSES[other][1])
            results.update((other, audited[node]) for other, node in placed)
        return results[name]

    return found


def test_on_hardened_nodes_all_holds_and_nothing_differs_afterwards(machines):
    before = snapshot(machines)
    results, predicted = audit(), audit("--check")
    assert sorted(snapshot(machines) ^ before) == []
    assert predicted == results
    for node in NODES:
        assert failing(results[node]) == set()
        assert sum(result["status"] == "pass" for result in results[node].values()) >= 50


def test_the_playbook_passes_and_the_gateway_is_audited_too():
    done = play("xensec.hardening.audit")
    assert done.returncode == 0, done.output
    assert done.stdout.count(" 0 fail, 0 error, 0 waived") == len(NODES) + 1


def test_which_weaknesses_are_tried():
    print(f"\n{len(CHOSEN)} of {len(WEAKNESSES)} weaknesses, seed {SEED}: {', '.join(CHOSEN)}")
    assert CHOSEN


@pytest.mark.parametrize("name", CHOSEN)
def test_a_weakness_is_found_by_exactly_its_controls(find, name):
    found = find(name)
    assert failing(found) == WEAKNESSES[name][2]
    for control in WEAKNESSES[name][2]:
        assert found[control]["status"] == "fail"


def test_a_key_of_another_node_lets_it_in_as_root(machines):
    machines["node2"].check_output("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    key = machines["node2"].check_output("cat /root/.ssh/id_ed25519.pub")
    try:
        machines["node1"].check_output(f"echo '{key}' >>/root/.ssh/authorized_keys")
        results = audit()
    finally:
        machines["node1"].check_output("sed -i '/root@node2/d' /root/.ssh/authorized_keys")
        machines["node2"].check_output("rm /root/.ssh/id_ed25519 /root/.ssh/id_ed25519.pub")
    assert failing(results["node1"]) == {"root-logins-of-peers"}
    assert failing(results["node2"]) == set()


def test_the_exit_code_goes_by_severity_and_a_waiver_counts_for_a_time(machines):
    plant, take_back, _controls = WEAKNESSES["os-prober"]
    waiver = {"control": "services-os-prober", "reason": "moves in May", "expires": "2100-01-31"}
    machines["node2"].check_output(plant)
    try:
        for variables, code, said in (
            ({}, 0, "FAIL medium services-os-prober"),
            ({"dom0_audit_fail_severity": "medium"}, 2, "On node2 these do not hold: services-os-prober"),
            ({"dom0_audit_fail_severity": "medium", "dom0_audit_waivers": [waiver]}, 0, "1 waived"),
        ):
            done = play("xensec.hardening.audit", variables=variables, limit="node2")
            assert (done.returncode, said in done.output) == (code, True), done.output
    finally:
        machines["node2"].check_output(take_back)


def test_afterwards_all_holds_again():
    results = audit()
    for node in NODES:
        assert failing(results[node]) == set()
