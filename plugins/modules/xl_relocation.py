#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: xl_relocation
short_description: Keep a relocation service over ssh, with its keys and peers
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - xl has no listener of its own for live migration, it runs ssh. This module gives a node an ssh server for nothing
    but that, on a port and address of its own, with host keys and authorized keys of its own, and has C(xl migrate)
    use it. An ordinary ssh to another node goes where it always went, and with O(refuse_root_from) it no longer gets in
    as root.
  - Each peer's key is let in from the peer's address only, and runs only what C(xl migrate) sends; or, with
    O(purpose=forward), runs nothing and forwards to one port.
  - Keys are made on the node and never leave it; the public halves are returned, for the peers.
  - systemd listens, and starts an ssh server for each connection, so guests that are coming in when the service is
    changed or taken away go on coming in, and new keys need no restart.
  - What is found is recorded below C(/var/lib/xensec) before the first change.
extends_documentation_fragment:
  - xensec.hardening.undo
options:
  state:
    description:
      - V(keys) makes the node's keys where it has none of O(generation).
      - V(present) makes the service match, keys included.
      - V(absent) takes the service and its keys away.
      - V(restored) does that as well, and puts back what was found before the first change.
    type: str
    choices: [keys, present, absent, restored]
    default: present
  purpose:
    description: V(migrate) lets in what C(xl migrate) sends; V(forward) lets in one forward, to O(forward_to).
    type: str
    choices: [migrate, forward]
    default: migrate
  address:
    description: The IPv4 address to listen on, and to connect from. Needed for O(state=present).
    type: str
    default: ""
  port:
    description: The TCP port to listen on, here and on the peers.
    type: int
    default: 8002
  forward_to:
    description: Address and port that a forward may lead to.
    type: str
    default: 127.0.0.1:8002
  generation:
    description:
      - The number of the keys in use. A greater one makes new keys; the old ones are let in and known beside them until
        O(retire) is set. It only ever grows.
    type: int
    default: 1
  retire:
    description: Whether the keys of former generations go. Set it once every peer knows the new ones.
    type: bool
    default: false
  peers:
    description: The nodes that may connect, and that this one connects to.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What it is called in messages.
        type: str
        required: true
      names:
        description: The names by which C(xl migrate) is to reach it.
        type: list
        elements: str
        required: true
      address:
        description: Its relocation address, IPv4.
        type: str
        required: true
      keys:
        description: The public keys it may come with. Without any it is not let in yet, which is warned about.
        type: list
        elements: str
        default: []
      host_keys:
        description: The public keys it is known by.
        type: list
        elements: str
        default: []
  refuse_root_from:
    description:
      - Addresses, IPv4 and IPv6, from which the ordinary ssh server takes root no longer; those of the peers. The one
        that the connection of this very run comes from is left out, with a warning.
    type: list
    elements: str
    default: []
  outgoing:
    description:
      - With O(state=absent), whether xl may still move guests away from here. V(refused) makes C(xl migrate) fail at
        once with a message, and empties C(XENDOMAINS_MIGRATE) in O(xendomains), by which guests would be moved away
        when the node goes down.
    type: str
    choices: [allowed, refused]
    default: allowed
  xendomains:
    description: The file with the settings of the service xendomains, if there is one.
    type: path
    default: /etc/default/xendomains
attributes:
  check_mode:
    support: full
    description: Nothing is written or started. Keys that do not exist yet cannot be returned.
  diff_mode:
    support: full
    description: Private keys are never shown.
  platform:
    support: full
    platforms: linux
    description: systemd and OpenSSH 7.8 or later.
"""

EXAMPLES = r"""
- name: Have the node's keys
  xensec.hardening.xl_relocation:
    state: keys
  register: keys

- name: Let one peer move guests here
  xensec.hardening.xl_relocation:
    address: 192.0.2.11
    peers:
      - name: xen2
        names: [xen2, xen2.example.org]
        address: 192.0.2.12
        keys: ["{{ hostvars.xen2.keys.generations['1'].client }}"]
        host_keys: ["{{ hostvars.xen2.keys.generations['1'].host }}"]

- name: Turn relocation off, both ways
  xensec.hardening.xl_relocation:
    state: absent
    outgoing: refused
"""

RETURN = r"""
generations:
  description: The public keys of each generation the node has, client and host.
  returned: always
  type: dict
  sample:
    "1": {"client": "ssh-ed25519 AAAA...", "host": "ssh-ed25519 AAAA..."}
accepts:
  description: The public keys that are let in.
  returned: always
  type: list
  elements: str
  sample: []
pins:
  description: The public keys that peers are known by.
  returned: always
  type: list
  elements: str
  sample: []
restarted:
  description: Whether its socket was, or in check mode would be, opened or opened again.
  returned: always
  type: bool
  sample: true
left:
  description: What was left as it is, because somebody has changed it since.
  returned: for O(state=restored)
  type: list
  elements: str
reasons:
  description: Why something was, or in check mode would be, changed.
  returned: always
  type: list
  elements: str
  sample: ["/etc/xensec/relocation/authorized_keys differs"]
"""

import os
import re
import shutil
import socket
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes
from ansible_collections.xensec.hardening.plugins.module_utils import relocation_ssh as ssh
from ansible_collections.xensec.hardening.plugins.module_utils import root_logins, service, undo
from ansible_collections.xensec.hardening.plugins.module_utils.changes import carry_out
from ansible_collections.xensec.hardening.plugins.module_utils.files import read as read_bytes
from ansible_collections.xensec.hardening.plugins.module_utils.record import RECORD_ROOT, Record, write_atomically

STATE_FOLDER = RECORD_ROOT
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*\Z")


def is_address(family, value):
    try:
        socket.inet_pton(family, value)
    except (socket.error, ValueError):
        return False
    return True


class Node(object):
    """This host: what its relocation service is made of, and what differs from what is wanted."""

    def __init__(self, module):
        self.module, self.params = module, module.params
        self.record = Record("xl_relocation", root=STATE_FOLDER)
        self.reasons, self.diff, self.left = [], [], []
        self.held = ssh.generations()
        self.refused, self.refusal_warning = root_logins.refusable(self.params["refuse_root_from"])

    def fail(self, message):
        self.module.fail_json(msg=message)

    def need(self, program, remedy):
        path = self.module.get_bin_path(program, opt_dirs=["/usr/sbin", "/sbin"])
        if not path:
            self.fail("%s is not installed on this host: %s" % (program, remedy))
        return path

    def check(self):
        """Refuse what cannot work, before anything is changed."""
        params = self.params
        newest = max([int(item) for item in self.held] or [0])
        self.check_refused()
        if params["state"] in ("absent", "restored"):
            return
        if params["generation"] < max(newest, 1):
            self.fail(
                "generation is %d, and this node has keys of generation %d: the number only grows, set it to %d or more"
                % (params["generation"], newest, max(newest, 1))
            )
        if params["state"] == "keys":
            return
        if not os.path.isdir(service.SYSTEMD_FOLDER):
            self.fail(
                "this host does not run systemd, which the relocation service over ssh needs: use another scenario"
            )
        self.check_peers()
        if not re.match(r"[0-9.]+:[0-9]+\Z", params["forward_to"]):
            self.fail("forward_to is %r: write an IPv4 address and a port, as in 127.0.0.1:8002" % params["forward_to"])
        if params["purpose"] == "migrate":
            self.check_client()

    def check_peers(self):
        """Refuse what would mean something else in the files of ssh."""
        params = self.params
        for what, value in [("address", params["address"])] + [
            (peer["name"], peer["address"]) for peer in params["peers"]
        ]:
            if not is_address(socket.AF_INET, value):
                self.fail("%s has %r, which is no IPv4 address: write one as in 192.0.2.11" % (what, value))
        for name in [name for peer in params["peers"] for name in peer["names"] + [peer["name"]]]:
            if not NAME.match(name):
                self.fail("%r cannot be a peer's name for ssh: use letters, digits and . _ : -" % name)
        for key in [key for peer in params["peers"] for key in peer["keys"] + peer["host_keys"]]:
            if ssh.keys_in(key) != [key]:
                self.fail("%r is no public key of type and base64: give it as 'ssh-ed25519 AAAA...'" % key)

    def check_refused(self):
        for address in self.params["refuse_root_from"]:
            if not any(is_address(family, address) for family in (socket.AF_INET, socket.AF_INET6)):
                self.fail("refuse_root_from has %r, which is no address: write one as in 192.0.2.11" % address)

    def check_client(self):
        if not ssh.includes_client(ssh.read(ssh.SYSTEM_CLIENT)):
            self.fail(
                "%s does not include %s/*.conf, so xl would not find its peers: put the line 'Include %s/*.conf' at its "
                "beginning" % (ssh.SYSTEM_CLIENT, os.path.dirname(ssh.CLIENT), os.path.dirname(ssh.CLIENT))
            )

    # Keys

    def make_keys(self):
        generation = self.params["generation"]
        if str(generation) in self.held:
            return
        self.reasons.append("there are no keys of generation %d" % generation)
        if self.module.check_mode:
            return
        keygen = self.need("ssh-keygen", "install OpenSSH's client")
        target = os.path.dirname(ssh.key_path(generation, ""))
        folder = os.path.dirname(target)
        names = ("id_ed25519", "id_ed25519.pub", "host_ed25519", "host_ed25519.pub")
        self.record.keep(files=[ssh.key_path(generation, name) for name in names])
        self.folder(ssh.FOLDER)
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o700)
        # Under another name until both are there: a half is no generation.
        new = tempfile.mkdtemp(prefix=".new-", dir=folder)
        try:
            for name in ("id_ed25519", "host_ed25519"):
                command = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(new, name)]
                command += ["-C", "xensec-relocation generation %d" % generation]
                code, dummy, error = self.module.run_command(command)
                if code:
                    self.fail("ssh-keygen made no key: %s" % error.strip())
            shutil.rmtree(target, ignore_errors=True)
            os.rename(new, target)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        self.held = ssh.generations()

    @staticmethod
    def folder(path):
        """Make the folder, and those it is in, so that sshd trusts what is in there."""
        for one in (os.path.dirname(path), path):
            if not os.path.isdir(one):
                os.makedirs(one, 0o755)

    # Files

    def compare(self, files):
        """Return those of the files, (path, text, mode), that are not so on this host."""
        different = []
        for path, text, mode in files:
            before = ssh.read(path)
            right = os.path.exists(path) and stat.S_IMODE(os.stat(path).st_mode) == mode
            if before != text or not right:
                different.append((path, text, mode))
                self.reasons.append("%s differs" % path)
                self.diff.append({"before_header": path, "after_header": path, "before": before, "after": text})
        return different

    def leave(self, paths):
        """Return those of the paths that are there and have to go."""
        found = [path for path in paths if os.path.exists(path)]
        for path in found:
            self.reasons.append("%s is there" % path)
            if os.path.isfile(path):
                header = {"before_header": path, "after_header": path}
                self.diff.append(dict(header, before=ssh.read(path), after=""))
        return found

    def keep(self, files, gone):
        writes = dict((path, text.encode("latin-1")) for path, text, dummy in files)
        writes.update((path, None) for path in gone)
        self.record.keep(writes=writes)

    def write(self, files):
        for path, text, mode in files:
            self.folder(os.path.dirname(path))
            write_atomically(path, text.encode("latin-1"), mode)

    def exchange(self, different, gone):
        """Write and remove files, and have the ordinary ssh server read its own."""
        before = read_bytes(root_logins.PATH)
        self.write(different)
        self.remove(gone)
        if root_logins.PATH in gone + [item[0] for item in different]:
            root_logins.put_into_effect(self.module, before, self.refused)

    # The service

    def systemctl(self, *words):
        code, output, error = self.module.run_command(["systemctl"] + list(words))
        return code, (error or output).strip()

    def unit(self):
        """Return what systemd says of the unit, by property."""
        properties = "ActiveState,UnitFileState,NeedDaemonReload"
        dummy, output, dummy = self.module.run_command(["systemctl", "show", "-p", properties, ssh.SOCKET])
        return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)

    def runs(self):
        """Whether the service, which is to go, runs."""
        unit = self.unit() if os.path.isdir(service.SYSTEMD_FOLDER) else {}
        found = unit.get("ActiveState") in ("active", "activating", "reloading")
        if found:
            self.reasons.append("the service runs")
        return found

    def present(self):
        programs = {
            "sshd": self.need("sshd", "install OpenSSH's server"),
            "xl": self.need("xl", "it is what relocation is for") if self.params["purpose"] == "migrate" else "",
            "locked": ssh.locked(ssh.read(ssh.SHADOW)),
        }
        self.make_keys()
        held = [int(item) for item in self.held] or [self.params["generation"]]
        if self.params["generation"] not in held:
            held.append(self.params["generation"])
        retire = self.params["retire"]
        former = [] if not retire else [item for item in held if item != self.params["generation"]]
        peers = [peer for peer in self.params["peers"] if peer["keys"] and peer["host_keys"]]
        files = ssh.texts(dict(self.params, peers=peers), programs, held, retire) + root_logins.wanted(self.refused)
        stale = [] if self.params["purpose"] == "migrate" else [path for path, dummy, dummy in ssh.client_texts()]
        stale += [] if self.refused else [root_logins.PATH]
        different, gone = self.compare(files), self.leave(stale)
        if former:
            self.reasons.append("there are keys of generation %s" % ", ".join(str(item) for item in sorted(former)))
        unit, config = self.unit(), dict((path, text) for path, text, dummy in files)[ssh.FOLDER + "/sshd_config"]
        enable = unit.get("UnitFileState") != "enabled"
        changed = [item[0] for item in different]
        stale_unit = unit.get("NeedDaemonReload") == "yes"
        restart = stale_unit or ssh.UNIT in changed or unit.get("ActiveState") != "active"
        if enable:
            self.reasons.append("the service is not started at boot")
        if restart:
            self.reasons.append("the socket is not open as it should be")
        if self.module.check_mode:
            return restart
        if different or gone:
            self.check_config(programs["sshd"], config)
            self.keep(files, stale)
            self.exchange(different, gone)
        if restart or enable or ssh.SERVICE in changed:
            self.run("daemon-reload")
        if enable:
            self.run("enable", ssh.SOCKET)
        if restart:
            problem = service.restart(self.module, ssh.SOCKET)
            if problem:
                self.fail("the relocation service did not start: %s. See journalctl -u %s" % (problem, ssh.SOCKET))
        for item in former:
            shutil.rmtree(os.path.dirname(ssh.key_path(item, "")))
        self.warn(held, retire)
        return restart

    def run(self, *words):
        code, said = self.systemctl(*words)
        if code:
            self.fail("systemctl %s returned %d: %s" % (" ".join(words), code, said))

    def check_config(self, sshd, config):
        """Have sshd itself read the configuration before it takes the place of the old one."""
        handle, path = tempfile.mkstemp(prefix="xensec-", dir=self.module.tmpdir)
        with os.fdopen(handle, "wb") as stream:
            stream.write(to_bytes(config))
        if not os.path.isdir("/run/sshd"):
            os.makedirs("/run/sshd", 0o755)
        code, output, error = self.module.run_command([sshd, "-t", "-f", path])
        os.unlink(path)
        if code:
            self.fail("sshd does not take its configuration, nothing was changed: %s" % (error or output).strip())

    def warn(self, held, retire):
        unknown = [peer["name"] for peer in self.params["peers"] if not peer["keys"] or not peer["host_keys"]]
        if unknown:
            self.module.warn(
                "the relocation keys of %s are not known, so no guest moves to or from there: have the role run on all "
                "nodes of the cluster" % ", ".join(sorted(unknown))
            )
        if not retire and len(held) > 1:
            self.module.warn(
                "the keys of generation %s are still let in beside the new ones, until all peers know those: run the "
                "role on all nodes of the cluster again" % ", ".join(str(item) for item in sorted(held)[:-1])
            )

    def absent(self):
        files, xendomains = root_logins.wanted(self.refused), []
        if self.params["outgoing"] == "refused":
            self.check_client()
            files += ssh.off_texts()
            path = os.path.realpath(self.params["xendomains"])
            if os.path.exists(path):
                try:
                    text = ssh.without_migration(ssh.read(path))
                except ValueError as error:
                    self.fail("%s: %s. Nothing was changed" % (path, error))
                xendomains = [(path, text, stat.S_IMODE(os.stat(path).st_mode))]
        keep = [item[0] for item in files]
        named = ["receive", "authorized_keys", "known_hosts", "sshd_config", "ssh_config", "asked-by-xl"]
        going = [os.path.join(ssh.FOLDER, name) for name in named]
        going += [ssh.CLIENT, os.path.join(ssh.FOLDER, "keys"), root_logins.PATH]
        different = self.compare(files + xendomains)
        gone = self.leave([path for path in going if path not in keep])
        has_unit, runs = os.path.exists(ssh.UNIT), self.runs()
        gone += self.leave([ssh.UNIT, ssh.SERVICE])
        if not self.reasons or self.module.check_mode:
            return
        keys = os.path.join(ssh.FOLDER, "keys")
        self.keep(different, [path for path in gone if path != keys])
        if runs or has_unit:
            self.stop()
        self.exchange(different, gone)
        if has_unit:
            self.run("daemon-reload")
        if os.path.isdir(ssh.FOLDER) and not os.listdir(ssh.FOLDER):
            os.rmdir(ssh.FOLDER)

    def stop(self):
        self.systemctl("disable", "--now", ssh.SOCKET)
        if self.unit().get("ActiveState") in ("active", "activating"):
            self.fail("the relocation service does not stop: see systemctl status %s" % ssh.SOCKET)

    def restored(self):
        """Put back what was found; connections that are open, and the guests that come in by them, go on."""
        if not self.record.exists():
            if self.params["forget"] and not self.module.check_mode:
                self.record.close(forget=True)
            return
        keys = os.path.join(ssh.FOLDER, "keys")
        recorded = self.record.content("files")
        given = undo.Undo(
            self.record, self.params["force"], [path for path in recorded if not path.startswith(keys + "/")]
        )
        self.left, self.diff = given.left, given.diff()
        self.reasons += ["%s is not as it was" % path for path in given.paths] + ["%s is there" % keys] * os.path.isdir(
            keys
        )
        has_unit, runs = os.path.exists(ssh.UNIT), self.runs()
        if self.module.check_mode:
            return
        if runs or has_unit:
            self.stop()
        given.apply()
        if root_logins.PATH in given.paths:
            root_logins.put_into_effect(self.module, read_bytes(root_logins.PATH), [])
        if os.path.isdir(keys):
            shutil.rmtree(keys)
        if has_unit:
            self.run("daemon-reload")
            # A failure would be remembered beyond its unit.
            self.systemctl("reset-failed", ssh.SOCKET)
        given.tidy()
        if not given.left:
            self.record.close(self.params["forget"])

    @staticmethod
    def remove(paths):
        for path in paths:
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)


def main():
    texts = {"type": "list", "elements": "str"}
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["keys", "present", "absent", "restored"], "default": "present"},
            "force": {"type": "bool", "default": False},
            "forget": {"type": "bool", "default": False},
            "purpose": {"type": "str", "choices": ["migrate", "forward"], "default": "migrate"},
            "address": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 8002},
            "forward_to": {"type": "str", "default": "127.0.0.1:8002"},
            "generation": {"type": "int", "default": 1},
            "retire": {"type": "bool", "default": False},
            "peers": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "names": dict(texts, required=True),
                    "address": {"type": "str", "required": True},
                    "keys": dict(texts, default=[], no_log=False),
                    "host_keys": dict(texts, default=[], no_log=False),
                },
            },
            "refuse_root_from": dict(texts, default=[]),
            "outgoing": {"type": "str", "choices": ["allowed", "refused"], "default": "allowed"},
            "xendomains": {"type": "path", "default": "/etc/default/xendomains"},
        },
        supports_check_mode=True,
    )
    carry_out(module, lambda: work_on(module))


def work_on(module):
    """Do what the parameters say; return the result."""
    node, restarted = Node(module), False
    node.check()
    if node.refusal_warning and module.params["state"] != "keys":
        module.warn(node.refusal_warning)
    if module.params["state"] == "keys":
        node.make_keys()
    elif module.params["state"] == "present":
        restarted = node.present()
    elif module.params["state"] == "restored":
        node.restored()
    else:
        node.absent()
    after = ssh.state()
    result = {"left": node.left} if module.params["state"] == "restored" else {}
    return dict(
        result,
        changed=bool(node.reasons),
        restarted=restarted,
        reasons=node.reasons,
        diff=node.diff,
        generations=after["generations"],
        accepts=after["accepts"],
        pins=after["pins"],
        warnings=undo.warnings(node.left),
    )


if __name__ == "__main__":
    main()
