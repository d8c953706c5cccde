# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a node's relocation service over ssh: what they are called, what is in them, what a host has of them.

A node has a pair of keys to connect with and a pair to be known by for each generation. While there are two generations
it is let in, and known, by both; it is known by the elder until it is retired.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import glob
import os
import re
import struct

FOLDER = "/etc/xensec/relocation"
SOCKET = "xensec-relocation.socket"
UNIT = "/etc/systemd/system/xensec-relocation.socket"
SERVICE = "/etc/systemd/system/xensec-relocation@.service"
CLIENT = "/etc/ssh/ssh_config.d/xensec-relocation.conf"
SYSTEM_CLIENT = "/etc/ssh/ssh_config"
SYSTEM_SERVER = ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf")
SHADOW = "/etc/shadow"
PUBLIC_KEY = re.compile(r"(?:^|\s)((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+) (AAAA[0-9A-Za-z+/]+=*)(?:[ \t]+(.*))?")
NOTICE = "# Written by xensec.hardening, role xend_relocation. Changes are overwritten.\n"

RECEIVE = """\
#!/bin/sh
{notice}# Runs what "xl migrate" asks for, and nothing else. What was asked is only ever compared with the 160 commands that
# xl sends (tools/xl/xl_migrate.c); what is run is made of the words below. stdout belongs to the stream of the guest.
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
asked=${{SSH_ORIGINAL_COMMAND-}}
for t in '' ' -t'; do for T in '' ' -T'; do for v in '' ' -v' ' -vv' ' -vvv' ' -vvvv'; do
    for e in '' ' -e'; do for d in '' ' -d'; do for p in '' ' -p'; do
        if [ "$asked" = "xl$t$T$v migrate-receive$e$d$p" ]; then
            # shellcheck disable=SC2086 # each is one word or none
            exec env -i PATH="$PATH" HOME=/root LC_ALL=C {xl} $t $T $v migrate-receive $e $d $p
        fi
    done; done; done
done; done; done
{refuse}"""

REFUSE_ALL = """\
#!/bin/sh
{notice}# Runs nothing: these keys are for a forward to xend alone.
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
asked=${{SSH_ORIGINAL_COMMAND-}}
{refuse}"""

REFUSE = """\
client=${{SSH_CONNECTION-}}
shown=$(printf '%.200s' "$asked" | tr -c '[:print:]' '?')
logger -p auth.warning -t xensec-relocation -- "refused from ${{client%% *}}: $shown" </dev/null >/dev/null 2>&1
echo "xensec: refused, this key is for {purpose} alone" >&2
exit 126
"""

ASKED_BY_XL = """\
#!/bin/sh
{notice}# Whether the ssh that asks was started by xl: an ordinary ssh to a node goes where it always went.
read -r _ _ _ parent _ <"/proc/$PPID/stat" && read -r name <"/proc/$parent/comm" && [ "$name" = xl ]
"""

SSHD_CONFIG = """\
{notice}HostKey {host_key}
AuthorizedKeysFile {folder}/authorized_keys
AllowUsers root
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
ChallengeResponseAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
GSSAPIAuthentication no
PermitRootLogin forced-commands-only
ForceCommand {folder}/receive
{forwarding}AllowAgentForwarding no
AllowStreamLocalForwarding no
GatewayPorts no
X11Forwarding no
PermitTunnel no
PermitTTY no
PermitUserRC no
PermitUserEnvironment no
StrictModes yes
UsePAM {pam}
UseDNS no
PrintMotd no
PrintLastLog no
Banner none
LoginGraceTime 30
MaxSessions 1
LogLevel VERBOSE
"""

FORWARDING = {
    "migrate": "DisableForwarding yes\nAllowTcpForwarding no\n",
    "forward": "AllowTcpForwarding local\nPermitOpen {forward_to}\n",
}
RESTRICT = {
    "migrate": "restrict",
    "forward": 'restrict,port-forwarding,permitopen="{forward_to}"',
}

# systemd listens, and starts an sshd for each connection: a changed configuration needs no restart, so there is no moment
# in which nobody answers. FreeBind= because the address may come up late.
UNIT_TEXT = """\
{notice}[Unit]
Description=Relocation of guests from the cluster's other Xen nodes

[Socket]
ListenStream={address}:{port}
FreeBind=true
Accept=true
MaxConnections=64
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
"""

# KillMode= and OOMPolicy= because the programs that serve the guests that came in go on living here.
SERVICE_TEXT = """\
{notice}[Unit]
Description=Relocation of guests from another Xen node, one connection
CollectMode=inactive-or-failed

[Service]
ExecStartPre=/bin/mkdir -p -m 0755 /run/sshd
ExecStart=-{sshd} -i -f {folder}/sshd_config
StandardInput=socket
StandardError=journal
KillMode=process
OOMPolicy=continue
TasksMax=infinity
"""

CLIENT_TEXT = """\
{notice}Match localuser root exec "exec {folder}/asked-by-xl"
    Include {folder}/ssh_config
"""

HOST = """\
Host {names}
    HostName {address}
    Port {port}
    BindAddress {own_address}
    User root
{identities}    IdentitiesOnly yes
    IdentityAgent none
    HostKeyAlias {alias}
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    UpdateHostKeys no
    VerifyHostKeyDNS no
    CheckHostIP no
    PreferredAuthentications publickey
    BatchMode yes
    ConnectTimeout 10
    ControlMaster no
    ControlPath none
    ForwardAgent no
    ForwardX11 no
    RequestTTY no
"""

OFF = """\
{notice}Host *
    ProxyCommand /bin/sh -c 'echo "xensec: relocation is turned off on this node (untrusted_subnet)" >&2; exit 1'
    BatchMode yes
    ControlMaster no
    ControlPath none
"""


def read(path):
    """Return the text of path, one character a byte; the empty string if there is none."""
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("latin-1")
    except (IOError, OSError):
        return ""


def key_path(generation, name):
    """The private key of a generation: C(id_ed25519) to connect with, or C(host_ed25519) to be known by."""
    return os.path.join(FOLDER, "keys", str(generation), name)


def public_key(path):
    """Return type and key of a file that holds a public key, without its comment, or the empty string."""
    found = PUBLIC_KEY.search(read(path).split("\n")[0])
    return " ".join(found.groups()[:2]) if found else ""


def generations():
    """Return the public keys of each generation that this host has whole."""
    found = {}
    for path in glob.glob(os.path.join(FOLDER, "keys", "[0-9]*")):
        name = os.path.basename(path)
        keys = {
            "client": public_key(key_path(name, "id_ed25519.pub")),
            "host": public_key(key_path(name, "host_ed25519.pub")),
        }
        private = [key_path(name, "id_ed25519"), key_path(name, "host_ed25519")]
        if name.isdigit() and all(keys.values()) and all(os.path.exists(item) for item in private):
            found[name] = keys
    return found


def state():
    """Return what a peer, or a plan, needs to know of this host's relocation service over ssh."""
    return {
        "installed": os.path.exists(UNIT),
        "generations": generations(),
        "accepts": keys_in(read(os.path.join(FOLDER, "authorized_keys"))),
        "pins": keys_in(read(os.path.join(FOLDER, "known_hosts"))),
    }


def keys_in(text):
    found = [PUBLIC_KEY.search(line) for line in text.splitlines()]
    return sorted(set(" ".join(item.groups()[:2]) for item in found if item))


def locked(shadow):
    """Whether sshd takes root's account for locked unless PAM is asked (auth.c, allowed_user)."""
    return re.search(r"^root:!", shadow, re.M) is not None


def texts(wanted, programs, held, retire):
    """Return the files of a service, path to (text, mode), in the order in which they are to be written.

    :arg wanted: purpose, address, port, forward_to, generation, and peers with names, address, keys and host_keys.
    :arg programs: the paths of sshd and xl, and whether root's account counts as locked.
    :arg held: the generations of keys this host has, as numbers.
    :arg retire: whether those but the wanted one are about to go.
    """
    held = [wanted["generation"]] if retire else sorted(held)
    values = {
        "notice": NOTICE,
        "folder": FOLDER,
        "address": wanted["address"],
        "port": wanted["port"],
        "forward_to": wanted["forward_to"],
        "host_key": key_path(held[0], "host_ed25519"),
        "sshd": programs["sshd"],
        "xl": programs["xl"],
        "pam": "yes" if programs["locked"] else "no",
    }
    purpose = wanted["purpose"]
    values["forwarding"] = FORWARDING[purpose].format(**values)
    said = {"migrate": "xl migrate", "forward": "a forward to %s" % wanted["forward_to"]}[purpose]
    refuse = REFUSE.format(purpose=said)
    receive = (RECEIVE if purpose == "migrate" else REFUSE_ALL).format(refuse=refuse, **values)
    accepted, pinned, hosts = [NOTICE], [NOTICE], [NOTICE]
    identities = "".join("    IdentityFile %s\n" % key_path(item, "id_ed25519") for item in reversed(held))
    restrict = RESTRICT[purpose].format(**values)
    for peer in sorted(wanted["peers"], key=lambda item: item["name"]):
        alias = "xensec-relocation-" + peer["address"]
        options = '%s,command="%s/receive",from="%s"' % (restrict, FOLDER, peer["address"])
        accepted += ["%s %s %s\n" % (options, key, peer["name"]) for key in peer["keys"]]
        pinned += ["%s %s\n" % (alias, key) for key in peer["host_keys"]]
        hosts.append(
            HOST.format(
                names=" ".join(peer["names"]),
                address=peer["address"],
                port=wanted["port"],
                own_address=wanted["address"],
                identities=identities,
                alias=alias,
                folder=FOLDER,
            )
        )
    files = [
        (os.path.join(FOLDER, "receive"), receive, 0o755),
        (os.path.join(FOLDER, "authorized_keys"), "".join(accepted), 0o600),
        (os.path.join(FOLDER, "known_hosts"), "".join(pinned), 0o644),
        (os.path.join(FOLDER, "ssh_config"), "".join(hosts), 0o644),
        (os.path.join(FOLDER, "sshd_config"), SSHD_CONFIG.format(**values), 0o644),
        (SERVICE, SERVICE_TEXT.format(**values), 0o644),
        (UNIT, UNIT_TEXT.format(**values), 0o644),
    ]
    return files + (client_texts() if purpose == "migrate" else [])


def client_texts():
    """Return the files that make the ssh of xl, and no other, read the service's own configuration."""
    return [
        (os.path.join(FOLDER, "asked-by-xl"), ASKED_BY_XL.format(notice=NOTICE), 0o755),
        (CLIENT, CLIENT_TEXT.format(notice=NOTICE, folder=FOLDER), 0o644),
    ]


def off_texts():
    """Return the files by which xl on this host cannot move a guest away, and says why."""
    return [(os.path.join(FOLDER, "ssh_config"), OFF.format(notice=NOTICE), 0o644)] + client_texts()


def includes_client(text):
    """Whether the system's ssh_config reads the files of the folder that CLIENT is in."""
    for line in text.splitlines():
        words = line.strip().split()
        if words and words[0].lower() in ("host", "match"):
            return False
        if words and words[0].lower() == "include" and any("ssh_config.d" in word for word in words[1:]):
            return True
    return False


# A value as the shell reads it: quoted, escaped and bare parts, one after the other.
ASSIGNMENT = re.compile(
    r"""^([ \t]*(?:export[ \t]+)?XENDOMAINS_MIGRATE=)((?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\\.|[^\s"'\\;#])*)(["'\\]?)""",
    re.M,
)


def without_migration(text):
    """Return the text of the xendomains defaults with XENDOMAINS_MIGRATE empty wherever it is set.

    :raises ValueError: a value goes on in the next line.
    """

    def empty(found):
        if found.group(3):
            raise ValueError("XENDOMAINS_MIGRATE has a value over several lines: write it in one")
        return found.group(1) + ('""' if found.group(2).strip("\"'") else found.group(2))

    return ASSIGNMENT.sub(empty, text)


def private_public(path):
    """Return the public half that OpenSSH's format keeps readable in a private key's file, or the empty string."""
    lines = read(path).splitlines()
    if not lines or "OPENSSH PRIVATE KEY" not in lines[0]:
        return ""
    try:
        blob = base64.b64decode("".join(lines[1:-1]).encode("ascii"))
        at = len(b"openssh-key-v1\0")
        for _skipped in range(3):
            at += 4 + struct.unpack_from(">I", blob, at)[0]
        at += 4
        length = struct.unpack_from(">I", blob, at)[0]
        key = blob[at + 4 : at + 4 + length]
        kind = key[4 : 4 + struct.unpack_from(">I", key, 0)[0]].decode("ascii")
    except (struct.error, ValueError, TypeError):
        return ""
    return "%s %s" % (kind, base64.b64encode(key).decode("ascii"))


def root_keys(home):
    """Return root's own public keys, and those that the ordinary sshd lets in as root."""
    own = []
    for path in sorted(glob.glob(os.path.join(home, ".ssh", "*"))):
        key = public_key(path) if path.endswith(".pub") else private_public(path)
        if key:
            own.append(key)
    admitted = []
    for path in authorized_files(home):
        for number, line in enumerate(read(path).splitlines(), 1):
            found = None if line.lstrip().startswith("#") else PUBLIC_KEY.search(line)
            if found:
                kind, key, comment = found.groups()
                admitted.append({"key": "%s %s" % (kind, key), "path": path, "line": number, "comment": comment or ""})
    return {"own": sorted(set(own)), "admitted": admitted}


def authorized_files(home):
    """Return the files that the ordinary sshd reads root's authorized keys from."""
    names = [".ssh/authorized_keys", ".ssh/authorized_keys2"]
    for pattern in SYSTEM_SERVER:
        for path in sorted(glob.glob(pattern)):
            for found in re.findall(r"^[ \t]*AuthorizedKeysFile[ \t=]+(.*)$", read(path), re.M | re.I):
                names += [name.strip('"') for name in found.split() if name.lower() != "none"]
    paths = []
    for name in names:
        path = os.path.join(home, name.replace("%h", home).replace("%u", "root").replace("%%", "%"))
        if path not in paths:
            paths.append(path)
    return paths
