# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest
from ansible.module_utils import basic
from ansible_collections.xensec.hardening.plugins.module_utils import relocation_ssh, root_logins, service, sshd
from ansible_collections.xensec.hardening.plugins.modules import xl_relocation
from harness import ModuleFailed, run

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA%02d"
XENDOMAINS = 'XENDOMAINS_MIGRATE="--live node2" # why\n'


class Host(object):
    """A host with ssh, xl and a service manager, all of it below one folder."""

    def __init__(self, folder):
        self.root = folder
        self.etc = folder.mkdir("etc")
        self.relocation = self.etc.join("relocation")
        self.unit_file = self.etc.join("unit.socket")
        self.client = self.etc.mkdir("ssh_config.d").join("xensec.conf")
        self.etc.join("ssh_config").write("Include %s/*.conf\n" % self.client.dirname)
        self.xendomains = self.etc.join("xendomains")
        self.xendomains.write(XENDOMAINS)
        self.record = folder.join("state").join("xl_relocation.json")
        self.programs = {"sshd": "/usr/sbin/sshd", "ssh-keygen": "/usr/bin/ssh-keygen", "xl": "/usr/sbin/xl"}
        self.active, self.enabled, self.reload = False, False, False
        self.broken, self.rejected, self.loose = False, False, False
        self.sshd_config = self.etc.join("sshd_config")
        self.logins = self.etc.mkdir("sshd_config.d").join("00-xen-relocation.conf")
        self.sshd_config.write("Include %s/*.conf\n" % self.logins.dirname)
        self.control = "192.0.2.1"
        self.commands, self.made = [], 0

    def run_command(self, module, command):
        name = os.path.basename(command[0])
        self.commands.append(" ".join([name] + command[1:]))
        if name == "ssh-keygen":
            path = command[command.index("-f") + 1]
            self.made += 1
            for end, text in (("", "secret %d\n" % self.made), (".pub", (KEY % self.made) + " comment\n")):
                with open(path + end, "w") as stream:
                    stream.write(text)
            os.chmod(path, 0o600)
            return 0, "", ""
        if name == "sshd" and command[1] == "-T":
            refused = root_logins.refused_by(self.logins.read() if self.logins.check() else "")
            no = command[3].split("addr=")[1] in refused and not self.loose
            return 0, "permitrootlogin %s\n" % ("no" if no else "yes"), ""
        if name == "sh":
            assert command[1:] == ["-c", "systemctl reload ssh.service"]
            return 0, "", ""
        if name == "sshd":
            return (255, "", "bad option\n") if self.rejected else (0, "", "")
        assert name == "systemctl"
        return self.systemctl(command[1:])

    def systemctl(self, words):
        if words[0] == "show":
            state = "active" if self.active else "inactive"
            enabled = "enabled" if self.enabled else ""
            reload_needed = "yes" if self.reload else "no"
            text = "ActiveState=%s\nUnitFileState=%s\nNeedDaemonReload=%s\n" % (state, enabled, reload_needed)
            return 0, text, ""
        if words[0] == "is-active":
            return (0 if self.active or words[-1] == "ssh.service" else 3), "", ""
        if words[0] == "daemon-reload":
            self.reload = False
        if words[0] == "enable":
            self.enabled = True
        if words[0] == "disable":
            self.enabled = self.active = False
        if words[0] == "restart":
            if self.broken:
                return 1, "", "no address\n"
            self.active = True
        return 0, "", ""

    @property
    def restarts(self):
        return len([command for command in self.commands if command.startswith("systemctl restart")])

    def run(self, check=False, **args):
        given = dict({"xendomains": str(self.xendomains)}, **args)
        if args.get("state", "present") == "present":
            given = dict({"address": "192.0.2.11", "peers": [peer()]}, **given)
        return run(xl_relocation.main, given, check=check)

    def tree(self):
        """Every file below etc with its content."""
        paths = [path for path in self.etc.visit() if path.check(file=True)]
        return dict((self.etc.bestrelpath(path), path.read()) for path in paths)


def peer(name="node2", **more):
    fixed = {"name": name, "names": [name], "address": "192.0.2.12", "keys": [KEY % 91], "host_keys": [KEY % 92]}
    return dict(fixed, **more)


@pytest.fixture
def host(tmpdir, monkeypatch):
    made = Host(tmpdir)
    for name, value in (
        ("FOLDER", made.relocation),
        ("UNIT", made.unit_file),
        ("CLIENT", made.client),
        ("SYSTEM_CLIENT", made.etc.join("ssh_config")),
        ("SERVICE", made.etc.join("unit@.service")),
        ("SHADOW", made.etc.join("shadow")),
    ):
        monkeypatch.setattr(relocation_ssh, name, str(value))
    monkeypatch.setattr(root_logins, "PATH", str(made.logins))
    for name, value in (("CONFIG", made.sshd_config), ("DROP_INS", made.logins.dirname), ("SYSTEMD", tmpdir)):
        monkeypatch.setattr(sshd, name, str(value))
    monkeypatch.setattr(sshd, "RUNTIME", str(tmpdir.join("run")))
    monkeypatch.setattr(root_logins, "DROP_INS", str(made.logins.dirname))
    monkeypatch.setattr(root_logins, "control_connection", lambda: {"address": made.control, "port": 22})
    monkeypatch.setattr(xl_relocation, "STATE_FOLDER", str(tmpdir.join("state")))
    monkeypatch.setattr(service, "SYSTEMD_FOLDER", str(tmpdir))
    programs = made.programs
    monkeypatch.setattr(
        basic.AnsibleModule,
        "get_bin_path",
        lambda module, name, *rest, **more: programs.get(name, "systemctl" if name == "systemctl" else None),
    )
    monkeypatch.setattr(
        basic.AnsibleModule, "run_command", lambda module, command, **more: made.run_command(module, command)
    )
    return made


def test_keys_are_made_once_and_only_the_public_halves_come_back(host):
    assert host.run(state="keys", check=True)["changed"]
    assert not host.relocation.check()
    result = host.run(state="keys")
    assert result["changed"]
    assert result["generations"] == {"1": {"client": KEY % 1, "host": KEY % 2}}
    assert "secret" not in json.dumps(result)
    assert not host.run(state="keys")["changed"]
    assert host.made == 2


def test_half_a_generation_is_none(host):
    host.run(state="keys")
    host.relocation.join("keys", "1", "host_ed25519").remove()
    result = host.run(state="keys")
    assert result["changed"]
    assert result["generations"]["1"]["client"] == KEY % 3


def test_the_service_is_set_up_once(host):
    predicted = host.run(check=True)
    assert predicted["changed"] and predicted["restarted"]
    assert not host.relocation.check() and not host.record.check()
    assert not any(command.startswith(("sshd", "ssh-keygen")) for command in host.commands)
    result = host.run()
    assert result["changed"] and result["restarted"]
    assert result["reasons"] == predicted["reasons"]
    assert (host.active, host.enabled, host.restarts) == (True, True, 1)
    assert result["accepts"] == [KEY % 91]
    assert result["pins"] == [KEY % 92]
    assert "secret" not in json.dumps(result)
    record = json.loads(host.record.read())
    assert record["files"][str(host.unit_file)] == {"absent": True}
    again = host.run()
    assert (again["changed"], again["restarted"], again["reasons"], again["diff"]) == (False, False, [], [])
    assert host.restarts == 1


def test_another_peer_needs_no_restart(host):
    host.run()
    more = [peer(), peer("node3", address="192.0.2.13", keys=[KEY % 93], host_keys=[KEY % 94])]
    result = host.run(peers=more)
    assert result["changed"] and not result["restarted"]
    assert result["accepts"] == [KEY % 91, KEY % 93]
    gone = host.run(peers=more[1:])
    assert gone["accepts"] == [KEY % 93]
    assert "192.0.2.12" not in host.relocation.join("authorized_keys").read()


@pytest.mark.parametrize("change", ["port", "mode", "stopped", "disabled", "reload", "sshd_config"])
def test_what_differs_is_put_right(host, change):
    host.run()
    more = {}
    if change == "port":
        more["port"] = 9002
    elif change == "mode":
        host.relocation.join("authorized_keys").chmod(0o666)
    elif change == "stopped":
        host.active = False
    elif change == "disabled":
        host.enabled = False
    elif change == "reload":
        host.reload = True
    else:
        # Every connection reads it anew.
        host.relocation.join("sshd_config").write("PermitTTY yes\n")
    assert host.run(check=True, **more)["changed"]
    assert host.run(**more)["restarted"] == (change not in ("mode", "disabled", "sshd_config"))
    assert not host.run(**more)["changed"]


def test_a_configuration_that_sshd_refuses_changes_nothing(host):
    host.run()
    before = host.tree()
    host.rejected = True
    with pytest.raises(ModuleFailed, match="nothing was changed: bad option"):
        host.run(port=9002)
    assert host.tree() == before


def test_a_service_that_does_not_start_is_said_and_tried_again(host):
    host.broken = True
    with pytest.raises(ModuleFailed, match="did not start.*no address"):
        host.run()
    host.broken = False
    assert host.run()["restarted"]


def test_a_peer_without_keys_is_not_let_in_yet(host):
    result = host.run(peers=[peer(keys=[], host_keys=[])])
    assert result["accepts"] == []
    assert not host.run(peers=[peer(keys=[], host_keys=[])])["changed"]


def test_new_keys_stand_beside_the_old_ones_until_they_retire(host):
    host.run()
    both = host.run(generation=2)
    assert sorted(both["generations"]) == ["1", "2"]
    assert not both["restarted"]
    assert "keys/1/host_ed25519" in host.relocation.join("sshd_config").read()
    predicted = host.run(generation=2, retire=True, check=True)
    assert predicted["changed"] and sorted(predicted["generations"]) == ["1", "2"]
    retired = host.run(generation=2, retire=True)
    # Nobody is turned away for it.
    assert not retired["restarted"]
    assert list(retired["generations"]) == ["2"]
    assert "keys/2/host_ed25519" in host.relocation.join("sshd_config").read()
    assert not host.relocation.join("keys", "1").check()
    assert not host.run(generation=2, retire=True)["changed"]
    with pytest.raises(ModuleFailed, match="generation is 1, and this node has keys of generation 2"):
        host.run(generation=1)


def test_off_takes_everything_away_and_xl_says_so(host):
    host.run()
    predicted = host.run(state="absent", outgoing="refused", check=True)
    assert predicted["changed"] and host.active
    result = host.run(state="absent", outgoing="refused")
    assert result["reasons"] == predicted["reasons"]
    assert (host.active, host.enabled) == (False, False)
    assert sorted(host.tree()) == sorted(
        [
            "ssh_config",
            "xendomains",
            "relocation/asked-by-xl",
            "relocation/ssh_config",
            "ssh_config.d/xensec.conf",
            "sshd_config",
        ]
    )
    assert "turned off on this node" in host.relocation.join("ssh_config").read()
    assert host.xendomains.read() == 'XENDOMAINS_MIGRATE="" # why\n'
    assert "content" in json.loads(host.record.read())["files"][str(host.xendomains)]
    assert not host.run(state="absent", outgoing="refused")["changed"]
    # And back.
    assert host.run()["changed"]
    assert "turned off" not in host.relocation.join("ssh_config").read()


def test_absent_leaves_nothing_and_lets_xl_go_its_way(host):
    before = host.tree()
    assert not host.run(state="absent")["changed"]
    host.run()
    assert host.run(state="absent")["changed"]
    assert host.tree() == before
    assert not host.relocation.check()
    assert not host.run(state="absent")["changed"]


def test_a_forward_leaves_the_ssh_of_xl_alone(host):
    host.programs["xl"] = None
    host.run(purpose="forward")
    assert not host.client.check()
    assert "permitopen" in host.relocation.join("authorized_keys").read()
    # From one to the other and back.
    host.programs["xl"] = "/usr/sbin/xl"
    host.run()
    assert host.client.check()
    assert host.run(purpose="forward")["changed"]
    assert not host.client.check()


PEERS = ["192.0.2.12", "2001:db8::12"]


def refused(host):
    return root_logins.refused_by(host.logins.read()) if host.logins.check() else []


def test_root_is_no_longer_taken_from_the_peers_and_one_that_left_stays_refused(host):
    assert host.run(refuse_root_from=PEERS, check=True)["changed"]
    assert not host.logins.check()
    host.run(refuse_root_from=PEERS)
    assert refused(host) == PEERS
    assert (
        host.commands[-1] == "sh -c systemctl reload ssh.service"
        or "sh -c systemctl reload ssh.service" in host.commands
    )
    assert not host.run(refuse_root_from=PEERS)["changed"]
    host.run(refuse_root_from=["192.0.2.13"])
    assert refused(host) == ["192.0.2.12", "192.0.2.13", "2001:db8::12"]
    assert host.run(state="absent", outgoing="refused", refuse_root_from=["192.0.2.13"])["changed"]
    assert refused(host) == ["192.0.2.12", "192.0.2.13", "2001:db8::12"]
    assert host.run(refuse_root_from=[])["changed"]
    assert not host.logins.check()


@pytest.mark.parametrize("state", ["present", "absent"])
def test_the_address_of_this_very_run_is_never_refused(host, state):
    host.run(refuse_root_from=PEERS)
    host.control = "192.0.2.12"
    warned = host.run(state=state, refuse_root_from=PEERS)["warnings"]
    assert refused(host) == ["2001:db8::12"]
    assert "comes from 192.0.2.12" in warned[-1]


def test_a_server_that_does_not_read_the_file_is_said(host):
    host.sshd_config.write("PermitRootLogin yes\n")
    warned = host.run(refuse_root_from=PEERS)["warnings"]
    assert not host.logins.check()
    assert "goes on taking root from the other nodes" in warned[-1]
    assert "put the line 'Include" in warned[-1]


def test_a_server_that_would_let_root_in_all_the_same_is_left_as_it_was(host):
    host.loose = True
    with pytest.raises(ModuleFailed, match="a Match in another file lets root in from 192.0.2.12, 2001:db8::12"):
        host.run(refuse_root_from=PEERS)
    assert not host.logins.check()


REFUSED = [
    ({"refuse_root_from": ["192.0.2.0/24"]}, "refuse_root_from has '192.0.2.0/24', which is no address"),
    ({"address": ""}, "address has ''.*192.0.2.11"),
    ({"address": "192.0.2.11\nPermitTTY yes"}, "no IPv4 address"),
    ({"peers": [peer(address="2001:db8::1")]}, "node2 has '2001:db8::1', which is no IPv4 address"),
    ({"peers": [peer(names=["node*"])]}, "'node\\*' cannot be a peer's name"),
    ({"peers": [peer(names=["a\n  ProxyCommand id"])]}, "cannot be a peer's name"),
    ({"peers": [peer(name="-o x", names=[])]}, "cannot be a peer's name"),
    ({"peers": [peer(keys=["ssh-ed25519 AAAA\nssh-ed25519 BBBB"])]}, "is no public key"),
    ({"peers": [peer(host_keys=["AAAA"])]}, "is no public key"),
    ({"forward_to": "localhost:x"}, "forward_to is 'localhost:x'"),
    ({"generation": 0}, "generation is 0"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED)
def test_what_would_mean_something_else_to_ssh_is_refused(host, args, message):
    before = host.tree()
    with pytest.raises(ModuleFailed, match=message):
        host.run(**args)
    assert host.tree() == before


def test_an_ssh_that_does_not_read_the_folder_is_said_before_anything_changes(host):
    host.etc.join("ssh_config").write("Host *\n")
    for args in ({}, {"state": "absent", "outgoing": "refused"}):
        with pytest.raises(ModuleFailed, match="does not include .*put the line 'Include"):
            host.run(**args)
    assert host.xendomains.read() == XENDOMAINS


def test_a_host_without_systemd_is_told_so(host, monkeypatch):
    monkeypatch.setattr(service, "SYSTEMD_FOLDER", str(host.root.join("none")))
    with pytest.raises(ModuleFailed, match="does not run systemd"):
        host.run()


@pytest.mark.parametrize("program", ["sshd", "xl", "ssh-keygen"])
def test_a_missing_program_is_named(host, program):
    host.programs[program] = None
    with pytest.raises(ModuleFailed, match="%s is not installed" % program):
        host.run()


def test_a_value_of_xendomains_over_several_lines_is_refused(host):
    host.xendomains.write('XENDOMAINS_MIGRATE="a\nb"\n')
    with pytest.raises(ModuleFailed, match="several lines.*Nothing was changed"):
        host.run(state="absent", outgoing="refused")
    assert not host.client.check()


def test_a_restore_takes_the_service_and_its_keys_away(host):
    before = host.tree()
    host.run()
    host.run(state="absent", outgoing="refused")
    host.run()
    assert host.active and host.tree() != before
    predicted = host.run(state="restored", check=True)
    assert host.active
    result = host.run(state="restored")
    assert predicted["reasons"] == result["reasons"] and result["changed"] and result["left"] == []
    assert "secret" not in json.dumps(result)
    assert host.tree() == before and not host.active and not host.enabled
    assert not host.relocation.check()
    assert [path.basename for path in host.record.dirpath().listdir()] == ["xl_relocation.json.restored"]
    assert not host.run(state="restored")["changed"]


def test_a_restore_leaves_what_somebody_has_changed_since(host):
    host.run(state="absent", outgoing="refused")
    host.xendomains.write("XENDOMAINS_MIGRATE=node9\n")
    result = host.run(state="restored")
    assert result["left"] == ["%s has been changed since" % host.xendomains]
    assert host.xendomains.read() == "XENDOMAINS_MIGRATE=node9\n" and not host.client.check()
    assert not host.run(state="restored")["changed"]
    host.run(state="restored", force=True)
    assert host.xendomains.read() == XENDOMAINS
    assert not host.record.check()
