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
  - Reads a host's tool stack, network interfaces, TCP listeners, the connection that Ansible comes in by, who is in
    charge of the packet filter, what a gateway's perimeter has stopped, and the public keys that concern relocation over
    ssh, in one call and without side effects.
  - The roles of this collection plan on the controller from what it returns.
options:
  gather_subset:
    description:
      - What to read. V(accounts) takes root, and is read only when it is named.
      - V(audit) is everything else as well as what an audit looks at. With it a fact that cannot be read is null and
        explained in RV(unread), instead of failing the module; no command may take more than 90 seconds, and all of them
        together no more than 240.
    type: list
    elements: str
    choices: [toolstack, interfaces, listeners, control, firewall_managers, relocation, perimeter, accounts, audit]
    default: [toolstack, interfaces, listeners, control, firewall_managers, relocation]
  account_names:
    description: Accounts to look for beyond those in C(/etc/passwd), by name, wherever the host knows them from.
    type: list
    elements: str
    default: []
  service_policy:
    description:
      - By what V(audit) tells the services that Dom0 needs, as the filter P(xensec.hardening.service_policy#filter) returns
        it. Without it RV(audit.services) and RV(audit.sockets) are not read.
    type: dict
  known:
    description:
      - What this module has returned for the host before in the same run, where nothing has changed there since. What is
        asked for is taken from it, and the host is not asked, unless something is not in it, was null, or is older than
        ten minutes.
      - It is the caller's to know that nothing has changed. The playbook C(harden) looks at what
        its roles have done.
      - The action plugin of this name sees to it; the module does not get it.
    type: dict
    version_added: "0.1.0"
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
platform:
  description: >-
    What C(os-release) says of the host, id and like in lower case; of an old host without it, the file that its
    distribution is known by.
  returned: always
  type: dict
  contains:
    id:
      description: The distribution, empty where it cannot be told.
      type: str
    like:
      description: The distributions that it is made from.
      type: list
      elements: str
    name:
      description: Its name for people.
      type: str
  sample: {"id": debian, "like": [], "name": Debian GNU/Linux 12 (bookworm)}
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
    libvirt:
      description: Whether libvirt runs here and has its driver for Xen.
      type: bool
  sample:
    detected: xend
    evidence: [/etc/xen/xend-config.sxp is there, xend runs as process 412]
    libvirt: false
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
      # The networks routed through it, the default route left out; null where there are more than 1000.
      routes: [192.0.2.0/24, "2001:db8::/64"]
      # How strictly the kernel checks the way back to a source, the larger of its own setting and that for all.
      rp_filter: 2
listeners:
  description: The TCP sockets that listen.
  returned: when asked for
  type: list
  elements: dict
  sample: [{address: 192.0.2.5, port: 8002, socket: "192.0.2.5:8002", pid: 412, process: python}]
control:
  description:
    - Where the connection that Ansible comes in by has its other end, as this host sees it. Behind a jump host or a
      translated address it is that one's.
    - Null where the host cannot tell, as over a connection that is not ssh.
  returned: when asked for
  type: dict
  contains:
    address:
      description: The address the connection comes from.
      type: str
    port:
      description: The port of this host that it goes to.
      type: int
  sample: {"address": "192.0.2.1", "port": 22}
firewall_managers:
  description: Programs in charge of the packet filter as a whole, V(firewalld) or V(ufw).
  returned: when asked for
  type: list
  elements: str
  sample: []
perimeter:
  description:
    - What the ruleset of the role P(xensec.hardening.perimeter_firewall#role) has stopped since it was loaded, by the
      names of its counters. Empty where it is not loaded.
  returned: when asked for
  type: dict
  sample: {"spoofed_cluster": {"packets": 12, "bytes": 720}}
accounts:
  description: Who could log in and how, without any secret.
  returned: when asked for
  type: dict
  contains:
    users:
      description:
        - The accounts by name, each with uid, whether it is local, has a password, has a key that lets it in with a
          shell, is expired, whether a group lets it become root, and whether a service runs as it.
      type: dict
    uid_min:
      description: The first uid of persons.
      type: int
    login:
      description:
        - The account that this connection logged in as, and the program that made it root, if one did. Null where the
          host cannot tell.
      type: dict
      sample: {"account": "ops", "uid": 1000, "become": "sudo"}
    sshd:
      description:
        - The effective settings of the ssh server, in lower case, each a list of its lines; whether it reads drop-ins,
          and whether it finds keys elsewhere than in the accounts' files.
      type: dict
    pam:
      description: >-
        Whether the services share the files common-auth and common-account, and the services that pass them by.
      type: dict
  sample:
    users:
      root: {uid: 0, local: true, password: false, key: true, expired: false, administrator: true, service: true}
    uid_min: 1000
    login: {account: root, uid: 0, become: null}
    sshd: {settings: {permitrootlogin: ["yes"]}, drop_in: true, keys_elsewhere: false}
    pam: {common: true, unguarded: []}
relocation:
  description: What M(xensec.hardening.xl_relocation) has made of the host.
  returned: when asked for
  type: dict
  contains:
    installed:
      description: Whether its service is there.
      type: bool
    generations:
      description: The public keys of each generation, client and host.
      type: dict
    accepts:
      description: The public keys that the service lets in.
      type: list
      elements: str
    pins:
      description: The public keys that peers are known by.
      type: list
      elements: str
root_keys:
  description: Root's public keys. Private ones are not looked at, but for the public half in them.
  returned: when O(gather_subset) has V(relocation)
  type: dict
  contains:
    own:
      description: The keys that root of this host can log in elsewhere with.
      type: list
      elements: str
    admitted:
      description: The keys that the ordinary ssh server lets in as root, with path, line and comment.
      type: list
      elements: dict
audit:
  description: What an audit looks at beyond the rest. No secret is in it, but whether there is one.
  returned: when asked for
  type: dict
  contains:
    xen:
      description: Whether this is a Dom0 that runs, and the version of Xen.
      type: dict
    container:
      description: Whether the kernel, and with it most of its settings, is that of a machine around this one.
      type: bool
    xend:
      description:
        - Xend's options as xend reads them, defaults included; the names that are there more than once; what the list of
          hosts that may relocate here means; the TCP listeners of its Xen-API; where relocation is configured to listen,
          and does; whether C(vncpasswd) is V(set) or V(empty).
      type: dict
    xendomains:
      description: Where guests go at shut-down.
      type: dict
    consoles:
      description: The VNC and SPICE consoles of guests that are configured or run, and where they listen.
      type: list
      elements: dict
    services:
      description: The units that are active or enabled, and whether anything needs them.
      type: list
      elements: dict
    sockets:
      description: The listening sockets of both protocols, with process and unit, and whether anything needs them.
      type: list
      elements: dict
    accounts:
      description: Accounts that log in with an empty password, and those with the uid of root besides root.
      type: dict
    ssh:
      description: The ssh server's effective settings for root, a stranger, and each account that can log in, up to 20.
      type: list
      elements: dict
    root_keys:
      description: The keys that let root in, by fingerprint, and whether each has a forced command and a source.
      type: list
      elements: dict
    relocation_keys:
      description: The same of the relocation service over ssh.
      type: list
      elements: dict
    firewall:
      description:
        - The policy of each hook, and what becomes of a packet that no rule names, by family; rules that admit too much
          or do not do what they seem to.
      type: dict
    bridges:
      description: The bridges and their ports.
      type: dict
    sysctls:
      description: Kernel settings.
      type: dict
    guest_data_parsers:
      description: Programs that read the disks of guests by themselves, such as os-prober.
      type: list
      elements: str
  sample:
    xen: {dom0: true, version: 4.17.7}
    sockets: [{protocol: tcp, address: 0.0.0.0, port: 22, process: sshd, unit: ssh.service, exposed: true, needed: true}]
    root_keys: [{path: /root/.ssh/authorized_keys, line: 1, type: ssh-ed25519, forced: false, from: false}]
read_at:
  description: When the host was asked, in seconds since 1970 by the controller's clock.
  returned: always
  type: float
  sample: 1785000000.5
unread:
  description: The facts that could not be read, by their path, and why.
  returned: when O(gather_subset) has V(audit)
  type: list
  elements: dict
  sample: [{fact: audit.consoles, reason: "'xl list -l' did not answer within 90 seconds"}]
"""

import glob
import os
import pwd
import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.xensec.hardening.plugins.module_utils import accounts as local
from ansible_collections.xensec.hardening.plugins.module_utils import (
    audit_facts,
    packet_filter,
    relocation_ssh,
    sockets,
)
from ansible_collections.xensec.hardening.plugins.module_utils.contents import read
from ansible_collections.xensec.hardening.plugins.module_utils.control import control_connection, control_login
from ansible_collections.xensec.hardening.plugins.module_utils.reader import Reader, Unreadable
from ansible_collections.xensec.hardening.plugins.module_utils.sessions import of_accounts, service_accounts
from ansible_collections.xensec.hardening.plugins.module_utils.sshd import RUNTIME, Sshd

PROC = "/proc"
NETWORK = "/sys/class/net"
PAM = "/etc/pam.d"
UFW_CONFIGURATION = "/etc/ufw/ufw.conf"
OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
# What distributions were known by before there was os-release.
OLD_RELEASES = (
    ("/etc/debian_version", "debian"),
    ("/etc/SuSE-release", "suse"),
    ("/etc/alpine-release", "alpine"),
    ("/etc/redhat-release", "rhel"),
)
XEND_FILES = ("/etc/xen/xend-config.sxp", "/usr/sbin/xend")
# A gateway that speaks BGP may have a million.
MOST_ROUTES = 1000
LIBXL_DRIVERS = ("/usr/lib*/libvirt/connection-driver/*libxl*", "/usr/lib/*/libvirt/connection-driver/*libxl*")
# The names that Xen's scripts give to guests' network interfaces in Dom0.
GUEST_INTERFACES = ("vif", "tap")


def processes():
    """Yield (pid, words of its command line) for every process that has one."""
    for name in sorted(os.listdir(PROC)):
        if name.isdigit():
            words = read(PROC, name, "cmdline").split("\0")
            if words[0]:
                yield int(name), words


def runs(program, words):
    """Whether this is the command line of a program written in Python: its interpreter may come first, with options."""
    if os.path.basename(words[0]).startswith("python"):
        words = [word for word in words[1:] if not word.startswith("-")] or [""]
    return os.path.basename(words[0]) == program


def platform():
    for path in OS_RELEASE:
        said = {}
        for name, value in re.findall(r"^(\w+)=(.*?)\s*$", read(path), re.M):
            said[name] = value.strip("\"'")
        if said.get("ID"):
            name = said.get("PRETTY_NAME") or said["ID"]
            return {"id": said["ID"].lower(), "like": said.get("ID_LIKE", "").lower().split(), "name": name}
    for path, name in OLD_RELEASES:
        version = read(path).strip()
        if version:
            return {"id": name, "like": [], "name": "%s %s" % (name, version.splitlines()[0])}
    return {"id": "", "like": [], "name": ""}


def toolstack(module):
    evidence = []
    for path in XEND_FILES:
        if os.path.exists(path):
            evidence.append("%s is there" % path)
    has_xend = bool(evidence)
    xl = module.get_bin_path("xl")
    if xl:
        evidence.append("%s is there" % xl)
    xend_runs = False
    for pid, words in processes():
        if runs("xend", words):
            xend_runs = True
            evidence.append("xend runs as process %d" % pid)
            break
    decided = {
        (False, False): "none",
        (False, True): "xl",
        (True, False): "xend",
        (True, True): "both" if xend_runs else "xl",
    }
    return {
        "detected": decided[has_xend, bool(xl)],
        "evidence": evidence or ["neither xend nor xl was found"],
        "libvirt": any(glob.glob(pattern) for pattern in LIBXL_DRIVERS)
        and any(os.path.basename(words[0]) in ("libvirtd", "virtxend") for dummy, words in processes()),
    }


def read_routes(module, ip):
    """Return the destinations of routes by the device they lead to."""
    found = {}
    for family, any_length in (("-4", "/32"), ("-6", "/128")):
        # A kernel without IPv6 answers with an error: then there is no such route.
        dummy, routes, dummy = module.run_command([ip, family, "-o", "route", "show"])
        # A route over several gateways names a device for each.
        for destination, rest in re.findall(r"^(?:unicast )?(default|[0-9a-fA-F.:]+(?:/\d+)?) (.*)", routes, re.M):
            # Link-local and multicast networks are on every interface.
            if not destination.lower().startswith(("fe80:", "ff")):
                if destination != "default" and "/" not in destination:
                    destination += any_length
                for device in re.findall(r"\bdev (\S+)", rest):
                    found.setdefault(device, set()).add(destination)
    return found


def networks_routed(destinations):
    found = sorted(destinations - set(["default"]))
    return found if len(found) <= MOST_ROUTES else None


def rp_filter(name):
    return int(read(PROC, "sys", "net", "ipv4", "conf", name, "rp_filter").strip() or 0)


def interfaces(module):
    ip = module.get_bin_path("ip", required=True, opt_dirs=["/sbin", "/usr/sbin"])
    dummy, addresses, dummy = module.run_command([ip, "-o", "address", "show"], check_rc=True)
    routes = read_routes(module, ip)
    found = {}
    for name in os.listdir(NETWORK):
        base = os.path.join(NETWORK, name)
        if name == "lo" or not os.path.isdir(base):
            continue
        master = os.path.join(base, "brport", "bridge")
        ports = os.path.join(base, "brif")
        found[name] = {
            "ipv4": [],
            "ipv6": [],
            # Virtual interfaces have no carrier to lose: "unknown" is as good as "up".
            "up": read(base, "operstate").strip() in ("up", "unknown"),
            "bridge": os.path.basename(os.path.realpath(master)) if os.path.exists(master) else None,
            "guests": os.path.isdir(ports) and any(port.startswith(GUEST_INTERFACES) for port in os.listdir(ports)),
            "default_route": "default" in routes.get(name, ()),
            "routes": networks_routed(routes.get(name, set())),
            "rp_filter": max(rp_filter("all"), rp_filter(name)),
        }
    for name, family, address, prefix in re.findall(
        r"^\d+:\s+(\S+)\s+(inet6?)\s+([0-9a-fA-F.:]+)(?:\s+peer\s+\S+?)?/(\d+)", addresses, re.M
    ):
        # Where ip writes eth0.5@eth0, the name ends at the @; a name may also have one of its own.
        name = name if name in found else name.split("@")[0]
        # fe80:: addresses mean nothing without their interface, and nobody names a service by them.
        if name in found and not address.startswith("fe80:"):
            kind = "ipv4" if family == "inet" else "ipv6"
            found[name][kind].append({"address": address, "prefix": int(prefix)})
    return found


def listeners():
    found = []
    for item in sockets.listening():
        if item["protocol"] == "tcp":
            pid = item["pids"][0] if item["pids"] else None
            found.append(
                {
                    "address": item["address"],
                    "port": item["port"],
                    "socket": item["socket"].partition("/")[2],
                    "pid": pid,
                    "process": read(PROC, str(pid), "comm").strip() if pid else None,
                }
            )
    return found


def firewall_managers():
    found = []
    if any(runs("firewalld", words) for dummy, words in processes()):
        found.append("firewalld")
    if re.search(r"^ENABLED=[\"']?yes", read(UFW_CONFIGURATION), re.M | re.I):
        found.append("ufw")
    return found


def perimeter(module):
    """Add up the counters by name: objects in nftables, comments of rules in iptables."""
    found = {}

    def add(name, packets, size):
        total = found.setdefault(name, {"packets": 0, "bytes": 0})
        total["packets"] += int(packets)
        total["bytes"] += int(size)

    paths = ["/sbin", "/usr/sbin"]
    nft = module.get_bin_path("nft", opt_dirs=paths)
    if nft:
        output = module.run_command([nft, "list", "counters", "table", "inet", "xensec_perimeter"])[1]
        for counter in re.findall(r"counter (\w+) \{\s*packets (\d+) bytes (\d+)", output):
            add(*counter)
    for tool in ("iptables", "ip6tables"):
        saving = module.get_bin_path(tool + "-save", opt_dirs=paths)
        for table in ("raw", "filter") if saving else ():
            output = module.run_command([saving, "-c", "-t", table])[1]
            rule = r"^\[(\d+):(\d+)\] -A XENSEC_PERIMETER\S* .*--comment \"?(\w+)"
            for packets, size, name in re.findall(rule, output, re.M):
                add(name, packets, size)
    return found


def pam():
    """Return whether there are Debian's common files, and the services with an account stack that lack them."""
    common = all(os.path.isfile(os.path.join(PAM, name)) for name in ("common-auth", "common-account"))
    unguarded = []
    for name in sorted(os.listdir(PAM)) if common else []:
        text = read(PAM, name)
        if name.startswith(("common-", ".")) or not re.search(r"^\s*-?account\s", text, re.M):
            continue
        if not re.search(r"^\s*(@include|account\s+(include|substack))\s+\S", text, re.M):
            unguarded.append(name)
    return {"common": common, "unguarded": unguarded}


def accounts(module):
    if os.geteuid() != 0:
        module.fail_json(msg="only root may read how accounts log in: set become: true for this host")
    sshd = Sshd(module)
    login = control_login()
    names = ([login["account"]] if login else []) + module.params["account_names"] + ["root"]
    settings, patterns = sshd.effective(names[0]), sshd.key_files(names)
    administrators = set()
    for name, gid, members in local.groups():
        if name in local.ADMINISTRATORS:
            administrators.update(members)
            administrators.update(account.name for account in local.local_accounts() if account.gid == gid)
    users = {}
    running, named = of_accounts(set(account.uid for account in local.local_accounts())), service_accounts()
    for account in local.local_accounts():
        users[local.shown(account.name)] = {
            "uid": account.uid,
            "local": True,
            "password": account.has_password,
            "key": local.has_usable_key(account, patterns),
            "expired": account.expired,
            "administrator": account.uid == 0 or account.name in administrators,
            "service": bool(running[account.uid]["service"]) or account.name in named or str(account.uid) in named,
        }
    for name in module.params["account_names"]:
        try:
            uid = pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
        # What a directory knows of them, such as keys, it does not tell.
        unknown = {
            "local": False,
            "password": None,
            "key": None,
            "expired": None,
            "administrator": None,
            "service": False,
        }
        users.setdefault(name, dict(unknown, uid=uid))
    elsewhere = [settings.get(key, ["none"])[0] for key in ("authorizedkeyscommand", "trustedusercakeys")]
    return {
        "users": users,
        "uid_min": local.uid_min(),
        "login": login,
        "sshd": {
            "settings": settings,
            "drop_in": sshd.reads_drop_ins(),
            "keys_elsewhere": any(value != "none" for value in elsewhere),
        },
        "pam": pam(),
    }


class Gathering(object):
    """The facts as they come in: where it is tolerant, one that cannot be read is null, and the reason is kept."""

    def __init__(self, tolerant):
        self.tolerant, self.unread = tolerant, []

    def read(self, name, function, *arguments):
        try:
            return function(*arguments)
        except (Unreadable, EnvironmentError, ValueError, KeyError) as error:
            if not self.tolerant:
                raise
            self.unread.append({"fact": name, "reason": str(error) or error.__class__.__name__})
            return None


def audit(gathering, reader, users, xend):
    """Return what only an audit looks at.

    :arg users: the accounts, or None where they could not be read.
    """
    found = {}

    def read(name, function, *arguments):
        found[name] = gathering.read("audit." + name, function, reader, *arguments)

    for name in ("xen", "container", "xendomains", "root_keys", "relocation_keys", "bridges", "sysctls"):
        read(name, getattr(audit_facts, name))
    read("guest_data_parsers", audit_facts.guest_data_parsers)
    read("accounts", audit_facts.account_facts)
    read("xend", audit_facts.xend, xend)
    options = found["xend"]["options"] if found["xend"] else {}
    read("consoles", audit_facts.consoles, options.get("vnc-listen", "127.0.0.1"))
    ports = [options.get("xend-relocation-port"), options.get("xend-relocation-ssl-port")]
    found["firewall"] = gathering.read(
        "audit.firewall", packet_filter.read, reader, sorted(set([8002, 8003] + [port for port in ports if port]))
    )
    found["ssh"] = gathering.read("audit.ssh", ssh_settings, reader, users)
    judged = gathering.read("audit.services", judged_services, reader)
    if judged is None:
        gathering.unread.append({"fact": "audit.sockets", "reason": gathering.unread[-1]["reason"]})
    found["services"], found["sockets"] = judged or (None, None)
    return found


def ssh_settings(reader, users):
    if users is None:
        reader.fail_json(msg="the accounts could not be read")
    return audit_facts.ssh(Sshd(reader), users)


def judged_services(reader):
    if not reader.params["service_policy"]:
        reader.fail_json(msg="no service_policy was given to tell by what Dom0 needs")
    return audit_facts.services(reader, reader.params["service_policy"])


def remove_runtime(folder_was_there):
    """Take away the empty folder that sshd wants to be asked, where it was made for that alone."""
    if not folder_was_there:
        try:
            os.rmdir(RUNTIME)
        except OSError:
            pass


def main():
    subsets = ["toolstack", "interfaces", "listeners", "control", "firewall_managers", "relocation"]
    module = AnsibleModule(
        argument_spec={
            "gather_subset": {
                "type": "list",
                "elements": "str",
                "choices": subsets + ["perimeter", "accounts", "audit"],
                "default": subsets,
            },
            "account_names": {"type": "list", "elements": "str", "default": []},
            "service_policy": {"type": "dict"},
            # For the action plugin.
            "known": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    wanted = module.params["gather_subset"]
    everything = "audit" in wanted
    if everything:
        wanted = subsets + ["perimeter", "accounts", "audit"]
    gathering, reader = Gathering(everything), Reader(module) if everything else module
    readers = {
        "toolstack": (toolstack, reader),
        "interfaces": (interfaces, reader),
        "listeners": (listeners,),
        "control": (control_connection,),
        "firewall_managers": (firewall_managers,),
        "perimeter": (perimeter, reader),
        "accounts": (accounts, reader),
        "relocation": (relocation_ssh.state,),
    }
    result = {"changed": False, "platform": platform()}
    runtime = os.path.isdir(RUNTIME)
    for name in readers:
        if name in wanted:
            result[name] = gathering.read(name, *readers[name])
    if "relocation" in wanted:
        result["root_keys"] = gathering.read("root_keys", relocation_ssh.root_keys, pwd.getpwuid(0).pw_dir)
    if everything:
        users = result["accounts"]["users"] if result["accounts"] else None
        xend = [pid for pid, words in processes() if runs("xend", words)]
        result["audit"] = audit(gathering, reader, users, xend)
        result["unread"] = gathering.unread
        remove_runtime(runtime)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
