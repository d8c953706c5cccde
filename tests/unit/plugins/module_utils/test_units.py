# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import os

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import units
from ansible_collections.xensec.hardening.plugins.module_utils.units import PolicyError, Unit, decide
from hypothesis import given
from hypothesis import strategies as st

RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recorded")


def recorded(name):
    with io.open(os.path.join(RECORDED, name), encoding="utf-8") as stream:
        return stream.read()


def policy(*patterns, **more):
    keep = [{"patterns": list(patterns), "reason": "kept"}]
    keep += [{"patterns": more["protected"], "reason": "protected", "protected": True}] if "protected" in more else []
    return {"keep": keep + more.get("entries", []), "stop": more.get("stop", [])}


def staying(verdicts):
    return sorted(name for name in verdicts if verdicts[name].stays)


# A real host: Debian 12 with Xen, a mail server, a web server, and what else grows on a Dom0.


@pytest.fixture(scope="module")
def dom0():
    files = units.parse_unit_files(recorded("debian-12-files.txt"))
    return units.build_units(files, units.parse_show(recorded("debian-12-show.txt")))


NEEDED = ["xen", "xendomains", "ssh", "getty*", "systemd-*", "dbus", "udev", "networking", "lvm2*", "chrony", "rsyslog"]


def test_a_real_host(dom0):
    verdicts = decide(dom0, policy("lab-kept", protected=NEEDED), control=["ssh.service"])
    active = [unit.name for unit in dom0 if unit.active and unit.name in verdicts]
    going = [name for name in active if not verdicts[name].stays]
    for name in ("rpcbind.socket", "rpcbind.service", "avahi-daemon.socket", "postfix@-.service", "nginx.service"):
        assert name in going
    for name in ("xen.service", "xendomains.service", "ssh.service", "dbus.socket", "lab-network.service"):
        assert verdicts[name].protected
    # A kept service has its chain: what it requires, the socket of that, and what the target wants that it wants.
    for name in ("lab-kept.service", "lab-store.service", "lab-store.socket", "lab-part.service"):
        assert verdicts[name].stays and not verdicts[name].protected
    # Nobody named these.
    assert verdicts["lab-network.service"].reason == "sets up the network, by its order"
    assert verdicts["lab-autostart.service"].reason == "its commands act on guests"


def test_a_real_host_keeps_nothing_alive_by_targets(dom0):
    """multi-user.target wants everything that is enabled, and keeps none of it."""
    verdicts = decide(dom0, policy(protected=["multi-user", "ssh"]))
    assert not verdicts["nginx.service"].stays


def test_aliases_mean_their_unit(dom0):
    by_name = dict((unit.name, unit) for unit in dom0)
    assert "sshd.service" in by_name["ssh.service"].names
    assert "sshd.service" not in by_name
    verdicts = decide(dom0, policy("sshd"))
    assert verdicts["ssh.service"].stays


def test_templates_are_not_decided_on_and_instances_are(dom0):
    verdicts = decide(dom0, policy("ssh"))
    assert "lab-many@.service" not in verdicts
    assert not verdicts["lab-many@7104.service"].stays


def test_generated_units_have_their_script():
    block = "Id=x.service\nLoadState=loaded\nActiveState=active\nUnitFileState=generated\nSourcePath=/etc/init.d/x\n"
    (unit,) = units.build_units({"x.service": "generated"}, units.parse_show(block))
    assert (unit.source, unit.state, unit.active) == ("/etc/init.d/x", "generated", True)


def test_units_that_vanish_while_being_read_are_none():
    block = "Id=gone.service\nNames=gone.service\nLoadState=not-found\nActiveState=inactive\n"
    assert units.build_units({"gone.service": "enabled"}, units.parse_show(block)) == []
    # One that still runs without its file is to be stopped.
    (left,) = units.build_units({}, units.parse_show(block.replace("inactive", "active")))
    assert left.active


def test_a_unit_asked_for_by_several_names_is_one():
    text = "Id=a.service\nNames=a.service b.service\nLoadState=loaded\nUnitFileState=enabled\n\n" * 2
    (unit,) = units.build_units({"a.service": "enabled", "b.service": "alias"}, units.parse_show(text))
    assert (unit.names, unit.state) == (["a.service", "b.service"], "enabled")


def test_instances_of_accepting_sockets_come_and_go_with_it():
    text = "Id=a.socket\nAccept=yes\n\nId=a@1-2.service\nActiveState=active\n\nId=b@1.service\nActiveState=active\n"
    found = dict((unit.name, unit.per_connection) for unit in units.build_units({}, units.parse_show(text)))
    assert found == {"a.socket": False, "a@1-2.service": True, "b@1.service": False}


def test_repeated_properties_are_all_read():
    text = "Id=a.socket\nListen=0.0.0.0:80 (Stream)\nListen=[::]:80 (Stream)\nRequires=x.service y.service\n"
    (unit,) = units.build_units({}, units.parse_show(text))
    assert unit.listens == ["0.0.0.0:80", "[::]:80"]
    assert unit.hard == ["x.service", "y.service"]


# The closure.


def services(**hard):
    return [Unit(name + ".service", hard=[word + ".service" for word in hard[name]]) for name in sorted(hard)]


def test_cycles_end():
    found = services(a=["b"], b=["c"], c=["a"], d=["a"])
    assert staying(decide(found, policy("a"))) == ["a.service", "b.service", "c.service"]


@given(st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=8, max_size=8), st.integers(0, 7))
def test_what_stays_lacks_nothing(edges, root):
    found = [Unit("u%d.service" % at, hard=["u%d.service" % to for to in tos]) for at, tos in enumerate(edges)]
    stays = staying(decide(found, policy("u%d" % root)))
    assert "u%d.service" % root in stays
    for unit in found:
        if unit.name in stays:
            assert set(unit.hard) <= set(stays)
        else:
            # And nothing stays that no other needs.
            assert not any(unit.name in other.hard for other in found if other.name in stays)


def test_protection_passes_on_by_what_is_required_and_not_by_what_is_wanted():
    found = [
        Unit("a.service", hard=["b.service"], soft=["c.service"], triggers=["a.socket"]),
        Unit("a.socket"),
        Unit("b.service"),
        Unit("c.service"),
    ]
    verdicts = decide(found, policy(protected=["a.service"]))
    assert dict((name, verdicts[name].protected) for name in verdicts) == {
        "a.service": True,
        "a.socket": True,
        "b.service": True,
        "c.service": False,
    }
    assert staying(decide(found, policy(protected=["a.service"], stop=["c"]))) == ["a.service", "a.socket", "b.service"]


@pytest.mark.parametrize(
    "stop, message",
    [
        ("a", "a.service is never stopped .protected."),
        ("b", "b.service is never stopped .required by a.service."),
        ("e", "e.service cannot be stopped while it is required by d.service"),
        ("?.service", "a.service is never stopped"),
    ],
)
def test_what_must_not_be_stopped_is_refused(stop, message):
    found = services(a=["b"], b=[], d=["e"], e=[])
    with pytest.raises(PolicyError, match=message):
        decide(found, policy("d", protected=["a"], stop=[stop]))


def test_kept_by_default_and_stopped_by_request():
    assert staying(decide(services(a=[], b=[]), policy("a", "b", stop=["b"]))) == ["a.service"]


def test_what_an_active_mount_or_target_requires_stays():
    found = [
        Unit("srv.mount", active=True, hard=["pool.service"]),
        Unit("multi-user.target", active=True, hard=["must.service"], soft=["may.service"]),
        Unit("idle.target", hard=["idle.service"]),
    ] + services(pool=[], must=[], may=[], idle=[])
    verdicts = decide(found, policy())
    assert staying(verdicts) == ["must.service", "pool.service"]
    assert verdicts["must.service"].protected


@pytest.mark.parametrize(
    "facts, stays",
    [
        ({"before": ["network.target"]}, True),
        ({"before": ["network-pre.target"]}, True),
        ({"after": ["network-pre.target"]}, True),
        ({"after": ["network.target"]}, False),
        ({"wanted_by": ["network-online.target"]}, True),
        ({"wanted_by": ["multi-user.target"]}, False),
        ({"before": ["sysinit.target"]}, True),
        ({"before": ["shutdown.target"]}, False),
        ({"commands": "{ path=/usr/sbin/xl ; argv[]=/usr/sbin/xl create /etc/xen/a }"}, True),
        ({"commands": "{ path=/usr/bin/virsh ; argv[]=/usr/bin/virsh -c xen:/// shutdown a }"}, True),
        ({"commands": "{ path=/usr/bin/axl ; argv[]=/usr/bin/axl create }"}, False),
        ({"commands": "{ path=/usr/sbin/xl ; argv[]=/usr/sbin/xl list }"}, False),
    ],
)
def test_structure(facts, stays):
    verdicts = decide([Unit("x.service", **facts)], policy())
    assert (verdicts["x.service"].stays, verdicts["x.service"].protected) == (stays, stays)


def test_the_control_connection_and_running_guests_are_protected():
    verdicts = decide(services(a=["c"], b=[], c=[]), policy(), control=["a.service"], busy=["b.service"])
    assert sorted(name for name in verdicts if verdicts[name].protected) == ["a.service", "b.service", "c.service"]


def test_entries_for_file_systems_count_where_one_is_mounted():
    entries = [{"patterns": ["rpcbind"], "reason": "nfs", "protected": True, "filesystems": ["nfs", "nfs4"]}]
    found = services(rpcbind=[])
    assert staying(decide(found, policy(entries=entries), filesystems=["ext4"])) == []
    assert staying(decide(found, policy(entries=entries), filesystems=["nfs4"])) == ["rpcbind.service"]


def test_exceptions_of_an_entry():
    entries = [{"patterns": ["systemd-*"], "reason": "own", "unless": ["systemd-journal-remote*"]}]
    found = [Unit("systemd-journald.service"), Unit("systemd-journal-remote.socket")]
    assert staying(decide(found, policy(entries=entries))) == ["systemd-journald.service"]


@pytest.mark.parametrize(
    "pattern, warning",
    [
        ("postfx", "did you mean postfix"),
        ("zzzzzz", "there is nothing like it"),
        ("postfix", None),
        ("post*", None),
        ("postfix.socket", "did you mean postfix.service"),
    ],
)
def test_patterns_that_mean_nothing(pattern, warning):
    found = units.unmatched([pattern], services(postfix=[], cups=[]), "keep")
    assert [warning in text for text in found] == ([True] if warning else [])


# Init scripts.

SSH = """#! /bin/sh
### BEGIN INIT INFO
# Provides:\t\tsshd
# Required-Start:\t$remote_fs keys
# Should-Start:\t\t$portmap
# Default-Start:\t2 3 4 5
# Short-Description:\tOpenBSD Secure Shell server
### END INIT INFO
"""


def script(required="", levels="2 3 4 5", provides="x", more=""):
    return "### BEGIN INIT INFO\n# Provides: %s\n# Required-Start: %s\n# Default-Start: %s\n### END INIT INFO\n%s\n" % (
        provides,
        required,
        levels,
        more,
    )


def test_init_scripts_and_what_they_need():
    scripts = {
        "ssh": SSH,
        "makekeys": script(provides="keys"),
        "rpcbind": script(levels="S", provides="rpcbind"),
        "nfs": script("$portmap"),
        "procps": script(levels="S"),
        "guests": script(more="xl create /etc/xen/auto/a"),
        "noheader": "#!/bin/sh\n",
    }
    found = units.build_init_scripts(scripts, {"ssh": True, "nfs": None}, {"ssh", "rpcbind"})
    by_name = dict((unit.name, unit) for unit in found)
    assert (by_name["ssh.service"].active, by_name["ssh.service"].state) == (True, "enabled")
    assert (by_name["nfs.service"].active, by_name["nfs.service"].state) == (False, "disabled")
    verdicts = decide(found, policy("ssh"))
    # A facility it should come after is not one that it needs.
    assert staying(verdicts) == ["guests.service", "makekeys.service", "procps.service", "ssh.service"]
    assert staying(decide(found, policy("nfs")))[1:3] == ["nfs.service", "procps.service"]
    assert "rpcbind.service" in staying(decide(found, policy("nfs")))


def test_service_status_all():
    text = " [ + ]  cron\n [ - ]  exim4\n [ ? ]  hwclock.sh\nsomething else\n"
    assert units.parse_status_all(text) == {"cron": True, "exim4": False, "hwclock.sh": None}


# OpenRC, as its tools print it.


def test_openrc():
    scripts = {
        "sshd": "#!/sbin/openrc-run\ndepend() {\n\tuse logger dns\n\tneed net\n\tafter entropy\n}\n",
        "net": "depend() { \n\tneed localmount\n}\n",
        "localmount": "",
        "nginx": "depend() {\n\tneed net\n}\n",
        "logger": "",
    }
    levels = units.parse_rc_update(" localmount | boot\n       sshd |      default\n      nginx | default\n logger |\n")
    running = units.parse_rc_status(
        " sshd                    [  started  ]\n * nginx      [ started 00:01:02 (0) ]\n logger [ stopped ]\n"
    )
    found = units.build_openrc(scripts, running, levels)
    by_name = dict((unit.name, unit) for unit in found)
    assert [unit.name for unit in found if unit.active] == ["nginx.service", "sshd.service"]
    assert by_name["logger.service"].state == "disabled"
    assert staying(decide(found, policy("sshd"))) == [
        "localmount.service",
        "logger.service",
        "net.service",
        "sshd.service",
    ]
