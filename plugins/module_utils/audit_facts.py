# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit looks at beyond what the roles plan on. Nothing in here changes the host, or returns a secret.

Each function takes a Reader, and raises Unreadable where the fact cannot be told.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import binascii
import glob
import hashlib
import json
import os
import pwd
import re
import stat

from ansible_collections.xensec.hardening.plugins.module_utils import accounts as local
from ansible_collections.xensec.hardening.plugins.module_utils import (
    contents,
    inits,
    relocation_ssh,
    sockets,
    sxp,
    sysctl,
    units,
)

XEND_CONFIG = "/etc/xen/xend-config.sxp"
GUESTS = ("/etc/xen/*", "/etc/xen/auto/*", "/etc/xen/vm/*")
XENDOMAINS = ("/etc/default/xendomains", "/etc/sysconfig/xendomains")
XEN = "/sys/hypervisor"
CAPABILITIES = "/proc/xen/capabilities"
NETWORK = "/sys/class/net"
CONTAINER_FILES = ("/run/systemd/container", "/run/.containerenv", "/.dockerenv")
# Programs that read what guests wrote on their disks, by themselves.
PARSERS = (
    "/usr/bin/os-prober",
    "/usr/sbin/os-prober",
    "/usr/libexec/udisks2/udisksd",
    "/usr/lib/udisks2/udisksd",
    "/usr/lib/udisks/udisks-daemon",
    "/usr/sbin/hald",
    "/usr/sbin/autofs-udisks",
)
# How xend reads its options (tools/python/xen/xend/XendOptions.py): kind, and value where there is no entry.
XEND_OPTIONS = {
    "xend-http-server": ("flag", False),
    "xend-address": ("text", ""),
    "xend-port": ("number", 8000),
    "xend-tcp-xmlrpc-server": ("flag", False),
    "xend-tcp-xmlrpc-server-address": ("text", "localhost"),
    "xend-tcp-xmlrpc-server-port": ("number", 8006),
    "xend-relocation-server": ("flag", False),
    "xend-relocation-port": ("number", 8002),
    "xend-relocation-ssl-server": ("flag", False),
    "xend-relocation-ssl-port": ("number", 8003),
    "xend-relocation-address": ("text", ""),
    "xend-relocation-hosts-allow": ("text", ""),
    "vnc-listen": ("text", "127.0.0.1"),
}
# Of these addresses and names a peer has none (RFC 5737, RFC 2606): a list that admits them all admits everybody.
STRANGERS = ("192.0.2.1", "198.51.100.77", "203.0.113.254", "stranger.example")
SYSCTLS = (
    "kernel.unprivileged_userns_clone",
    "user.max_user_namespaces",
    "kernel.unprivileged_bpf_disabled",
    "net.core.bpf_jit_harden",
    "kernel.dmesg_restrict",
    "kernel.kptr_restrict",
    "kernel.yama.ptrace_scope",
    "kernel.perf_event_paranoid",
    "fs.protected_symlinks",
    "fs.protected_hardlinks",
    "fs.suid_dumpable",
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.accept_redirects",
    "net.ipv6.conf.all.accept_redirects",
    "net.ipv6.conf.all.disable_ipv6",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
)
SSH_SETTINGS = (
    "allowagentforwarding",
    "allowtcpforwarding",
    "gatewayports",
    "hostbasedauthentication",
    "kbdinteractiveauthentication",
    "challengeresponseauthentication",
    "passwordauthentication",
    "permitemptypasswords",
    "permitrootlogin",
    "permittunnel",
    "permituserenvironment",
    "strictmodes",
    "x11forwarding",
)
MOST_ACCOUNTS = 20


def loopback(address):
    return address.startswith("127.") or address in ("::1", "localhost", "ip6-localhost")


# --- Xen ------------------------------------------------------------------------------------------------------


def xen(reader):
    """Return whether Xen runs below this kernel, and its version."""
    parts = [contents.read(XEN, "version", name).strip() for name in ("major", "minor", "extra")]
    return {
        "dom0": "control_d" in contents.read(CAPABILITIES),
        "version": "%s.%s%s" % tuple(parts) if parts[0] else "unknown",
    }


def flag(value):
    """Return a boolean as xend reads it; None where it refuses to start."""
    text = value.lower() if hasattr(value, "lower") else ""
    return True if text in sxp.YES else False if text in sxp.NO else None


def typed(kind, value):
    if kind == "flag":
        return flag(value)
    if isinstance(value, list):
        return None
    if kind == "number":
        return int(value) if re.match(r"\s*[+-]?\d+\s*$", value) else None
    return value


def address_kind(text):
    """Return C(every), C(literal), or C(name), which xend resolves once, as it starts."""
    if not text:
        return "every"
    return "literal" if re.match(r"(?:\d{1,3}\.){3}\d{1,3}$", text) else "name"


def hosts_allow(text):
    """Return what the list of hosts that may relocate here means (tools/python/xen/xend/server/relocate.py)."""
    patterns = text.split(" ")
    broken, compiled = [], []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern))
        except re.error:
            broken.append(pattern)
    return {
        "patterns": patterns,
        # The empty pattern, of an empty list or a space too many, matches everybody.
        "empty": "" in patterns,
        "admits_everybody": all(any(one.match(name) for one in compiled) for name in STRANGERS),
        "broken": broken,
        # The end is not compared unless it is written: 10.0.0.1 admits 10.0.0.100.
        "open_ended": [pattern for pattern in patterns if pattern and not pattern.endswith("$")],
        "names": [pattern for pattern in patterns if re.search(r"[A-Za-z]", re.sub(r"\\.", "", pattern))],
    }


def xen_api(value):
    found = []
    for entry in value if isinstance(value, list) else []:
        words = entry if isinstance(entry, list) else [entry]
        words = [word for word in words if not isinstance(word, list)] or [""]
        tcp = words[0] != "unix"
        found.append(
            {
                "listener": words[0],
                "tcp": tcp,
                "address": words[0].rpartition(":")[0] if tcp else "",
                # Without an explicit pam nobody is asked who he is, whatever the comments in the file say.
                "authenticates": not tcp or words[1:2] == ["pam"],
            }
        )
    return found


def xend(reader, pids):
    """Return what xend reads in its configuration.

    :arg pids: xend's processes.
    """
    try:
        with open(XEND_CONFIG, "rb") as stream:
            text = stream.read().decode("latin-1")
    except (IOError, OSError) as error:
        if os.path.exists(XEND_CONFIG):
            reader.fail_json(msg="%s cannot be read: %s" % (XEND_CONFIG, error.strerror))
        text = None
    try:
        entries = sxp.loads(text or "")
    except sxp.SxpError as error:
        reader.fail_json(msg="xend cannot read %s: %s" % (XEND_CONFIG, error))
    options = {}
    for name, (kind, default) in XEND_OPTIONS.items():
        value = sxp.lookup(entries, name)
        options[name] = default if value is None else typed(kind, value)
    names = [entry[0] for entry in entries if isinstance(entry, list) and entry and not isinstance(entry[0], list)]
    wanted = []
    for server, port in (("server", "port"), ("ssl-server", "ssl-port")):
        if options["xend-relocation-" + server]:
            address = (options["xend-relocation-address"] or "0.0.0.0").replace("localhost", "127.0.0.1")
            wanted.append("%s:%s" % (address, options["xend-relocation-" + port]))
    ports = [options["xend-relocation-port"], options["xend-relocation-ssl-port"]]
    found = [
        "%s:%d" % (item["address"], item["port"])
        for item in sockets.listening()
        if item["protocol"] == "tcp" and item["port"] in ports and set(item["pids"]) & set(pids)
    ]
    password = sxp.lookup(entries, "vncpasswd")
    return {
        "configured": text is not None,
        "running": bool(pids),
        "options": options,
        "repeated": sorted(set(name for name in names if names.count(name) > 1)),
        "relocation_address": address_kind(options["xend-relocation-address"] or ""),
        "hosts_allow": hosts_allow(options["xend-relocation-hosts-allow"] or ""),
        "xen_api": xen_api(sxp.lookup(entries, "xen-api-server", [["unix"]])),
        "relocation": {"configured": sorted(wanted), "listening": sorted(found)},
        # Whether there is one, never which.
        "vncpasswd": "set" if password else "empty",
        "readable_by_all": text is not None and bool(os.stat(XEND_CONFIG).st_mode & stat.S_IROTH),
    }


def xendomains(reader):
    """Return where guests go at shut-down, by the defaults of xendomains; the empty string for nowhere."""
    value = ""
    for path in XENDOMAINS:
        for found in relocation_ssh.ASSIGNMENT.findall(contents.read(path)):
            value = found[1].strip("\"'")
    return {"migrate": value}


# --- guests' consoles -----------------------------------------------------------------------------------------

ASSIGNMENT = re.compile(r"^[ \t]*(\w+)[ \t]*=[ \t]*(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^#\n]*))", re.M)
VFB = re.compile(r"^[ \t]*vfb[ \t]*=[ \t]*\[(.*?)\]", re.M | re.S)


def enabled(value):
    return str(value).strip().lower() in ("1", "true", "yes", "on")


def vnc(guest, source, listen, password):
    address = re.sub(r":\d+$", "", listen) if listen.count(":") < 2 else listen
    return console("vnc", guest, source, address, password)


def console(kind, guest, source, address, password):
    return {
        "guest": guest,
        "source": source,
        "kind": kind,
        "listen": address,
        "password": password,
        # SPICE takes no address for every address.
        "exposed": not loopback(address),
    }


def configured_consoles(text, path, listen):
    """Return the consoles that a guest's configuration asks for.

    :arg listen: where VNC binds to that is told no address.
    """
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    options = {}
    for name, double, single, bare in ASSIGNMENT.findall(text):
        options[name] = double or single or bare.strip()
    if not set(options) & set(["kernel", "builder", "type", "disk", "bootloader", "memory"]):
        return []
    guest = options.get("name") or os.path.basename(path)
    found = []
    if enabled(options.get("vnc", "0")) or "vnclisten" in options:
        found.append(vnc(guest, path, options.get("vnclisten") or listen, bool(options.get("vncpasswd"))))
    for device in re.findall(r"\"([^\"]*)\"|'([^']*)'", "".join(VFB.findall(text))):
        words = dict(word.strip().partition("=")[::2] for word in (device[0] or device[1]).split(","))
        if words.get("type", "vnc") == "vnc" and words.get("vnc", "1") != "0":
            found.append(vnc(guest, path, words.get("vnclisten") or listen, bool(words.get("vncpasswd"))))
    if enabled(options.get("spice", "0")):
        secured = bool(options.get("spicepasswd")) and not enabled(options.get("spicedisable_ticketing", "0"))
        found.append(console("spice", guest, path, options.get("spicehost", ""), secured))
    return found


def running_consoles(value, guest=""):
    """Return the consoles in what C(xl list -l) prints."""
    found = []
    if isinstance(value, list):
        for item in value:
            found += running_consoles(item, guest)
    elif isinstance(value, dict):
        named = value.get("c_info")
        guest = named.get("name", guest) if isinstance(named, dict) else guest
        for key, item in sorted(value.items()):
            on = isinstance(item, dict) and str(item.get("enable", "true")).lower() not in ("false", "0", "none")
            if key == "vnc" and on:
                found.append(vnc(guest, "running", item.get("listen") or "127.0.0.1", bool(item.get("passwd"))))
            elif key == "spice" and on and enabled(item.get("enable")):
                secured = bool(item.get("passwd")) and not enabled(item.get("disable_ticketing"))
                found.append(console("spice", guest, "running", item.get("host") or "", secured))
            else:
                found += running_consoles(item, guest)
    return found


def consoles(reader, listen):
    """Return the consoles of the guests that are configured and, where xl can tell, of those that run."""
    found, seen = [], set()
    for path in [path for pattern in GUESTS for path in sorted(glob.glob(pattern))]:
        real = os.path.realpath(path)
        text = None if real in seen or path.endswith((".sxp", ".orig", "~")) else local.read_small(path)
        seen.add(real)
        if text:
            found += configured_consoles(text.decode("utf-8", "replace"), path, listen or "0.0.0.0")
    xl = reader.get_bin_path("xl")
    if xl and "control_d" in contents.read(CAPABILITIES):
        code, output, error = reader.run_command([xl, "list", "-l"])
        try:
            if code:
                raise ValueError(error.strip()[-200:])
            found += running_consoles(json.loads(output))
        except ValueError as problem:
            reader.fail_json(msg="what guests run cannot be told: xl list -l: %s" % problem)
    return found


# --- services, sockets, accounts ------------------------------------------------------------------------------


def services(reader, policy):
    """Return the units that are active or enabled, the listening sockets, and what of both nothing needs.

    :arg policy: C(keep), C(keep_without_timers), C(stop) and C(kernel_ports), as for M(service_allowlist).
    """
    host = inits.detect(reader)
    found = host.read()
    entries = policy["keep"] + ([] if host.timers else policy.get("keep_without_timers") or [])
    try:
        verdicts = units.decide(
            found,
            {"keep": entries, "stop": policy.get("stop") or []},
            host.control(),
            host.busy(),
            inits.filesystems(),
        )
    except units.PolicyError as error:
        reader.fail_json(msg=str(error))
    listed, listening = [], []
    for unit in found:
        # A unit that systemd makes itself, or a name for another, has no file to be enabled.
        on = host.is_enabled(unit) and "@." not in unit.name
        if unit.name.endswith(units.KINDS) and (unit.active or on):
            known = verdicts.get(unit.name)
            listed.append(
                {
                    "name": local_text(unit.name),
                    "active": unit.active,
                    "enabled": on,
                    "needed": known.stays if known else True,
                    "reason": known.reason if known else "not decided on",
                }
            )
    for item in inits.describe_listeners(host, verdicts, policy.get("kernel_ports") or []):
        protocol, dummy, place = item["socket"].partition("/")
        address, dummy, port = place.rpartition(":")
        listening.append(
            {
                "protocol": protocol,
                "address": address.strip("[]"),
                "port": int(port),
                "socket": item["socket"],
                "process": os.path.basename(item["process"]),
                "unit": ", ".join(item["units"]),
                "exposed": not loopback(address.strip("[]")),
                "needed": bool(item["stays"]),
            }
        )
    return listed, listening


def local_text(text):
    return text if isinstance(text, str) else text.encode("utf-8")


def account_facts(reader):
    """Return what of the accounts is a hole whoever they belong to."""
    found = local.local_accounts()
    if not found or os.geteuid() != 0:
        reader.fail_json(msg="only root may read how accounts log in: set become: true for this host")
    return {
        "without_password": sorted(local.shown(account.name) for account in found if account.password == ""),
        "second_roots": sorted(
            local.shown(account.name) for account in found if account.uid == 0 and account.name != "root"
        ),
    }


def ssh(server, users):
    """Return the ssh server's effective settings for root, for those who can log in, and for a stranger.

    :arg server: the Sshd.
    :arg users: the accounts, by name, as M(dom0_info) returns them.
    """
    able = [name for name in sorted(users) if users[name]["key"] or users[name]["password"]]
    found = []
    for name in ["root", "nobody"] + [name for name in able if name not in ("root", "nobody")][:MOST_ACCOUNTS]:
        settings = server.effective(name)
        found.append(dict((key, settings[key][0]) for key in SSH_SETTINGS if key in settings))
        found[-1]["account"] = name
    return found


def fingerprint(key):
    try:
        digest = hashlib.sha256(base64.b64decode(key.split()[1].encode("ascii"))).digest()
    except (ValueError, TypeError, binascii.Error):
        return "unreadable"
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def authorized(paths):
    """Return the keys in these files: where, which, and what they are bound to."""
    found = []
    for path in paths:
        for number, line in enumerate(contents.read(path).splitlines(), 1):
            match = None if line.lstrip().startswith("#") else relocation_ssh.PUBLIC_KEY.search(line)
            if match:
                options = line[: match.start(1)].lower()
                found.append(
                    {
                        "path": path,
                        "line": number,
                        "type": str(match.group(1)),
                        "fingerprint": fingerprint("%s %s" % match.groups()[:2]),
                        "comment": match.group(3) or "",
                        "forced": "command=" in options,
                        "from": "from=" in options,
                    }
                )
    return found


def root_keys(reader):
    return authorized(relocation_ssh.authorized_files(pwd.getpwuid(0).pw_dir))


def relocation_keys(reader):
    return authorized([os.path.join(relocation_ssh.FOLDER, "authorized_keys")])


# --- the rest -------------------------------------------------------------------------------------------------


def bridges(reader):
    found = {}
    for name in os.listdir(NETWORK):
        ports = os.path.join(NETWORK, name, "brif")
        if os.path.isdir(ports):
            found[name] = sorted(os.listdir(ports))
    return found


def sysctls(reader):
    """Return the kernel's settings as numbers where they are; those it does not have are left out."""
    found = {}
    for key in SYSCTLS:
        value = sysctl.get(key)
        if value is not None:
            found[key] = int(value) if re.match(r"-?\d+$", value) else value
    return found


def container(reader):
    """Return whether the kernel is that of a machine around this one, whose settings are not this host's."""
    return any(os.path.exists(path) for path in CONTAINER_FILES)


def guest_data_parsers(reader):
    return [path for path in PARSERS if os.path.exists(path)]
