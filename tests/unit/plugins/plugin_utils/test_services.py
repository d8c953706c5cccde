# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter.service_policy import service_policy
from ansible_collections.xensec.hardening.plugins.module_utils import units
from ansible_collections.xensec.hardening.plugins.plugin_utils import services

SETTINGS = {
    "keep": [],
    "stop": [],
    "action": "mask",
    "toolstack": "auto",
    "preset": True,
    "kernel_ports": [],
    "purge_packages": [],
    "untried_platforms": False,
}
XL = {"toolstack": {"detected": "xl", "libvirt": False}}


def plan(facts=None, **settings):
    return service_policy({**SETTINGS, **settings}, {"platform": {"id": "debian", "like": []}, **(facts or XL)})


def decide(*names, facts=None, **settings):
    policy = plan(facts, **settings)
    return units.decide([units.Unit(name) for name in names], policy)


# XEN-era names and today's, of section "What must never be stopped" of every tool stack.
NEVER = services.words("""
    xenstored xen-init-dom0 xenconsoled xendomains xen-watchdog xen-qemu-dom0-disk-backend xendriverdomain xencommons xend
    xen libvirtd virtxend virtlogd virtlockd libvirt-guests ssh sshd ssh@1 sshd@1 dropbear systemd-logind systemd-journald
    dbus udev chrony ntp systemd-timesyncd lvm2-monitor iscsid multipathd drbd mdmonitor networking NetworkManager wicked
    systemd-networkd ifup@eth0 nftables netfilter-persistent firewalld ufw getty@tty1 serial-getty@hvc0 sssd nslcd
    xensec-firewall-dom0 user@0
""")


@pytest.mark.parametrize("name", NEVER)
@pytest.mark.parametrize("detected", ["xl", "xend", "both", "none"])
def test_what_is_never_stopped(name, detected):
    facts = {"toolstack": {"detected": detected, "libvirt": False}}
    verdicts = decide(f"{name}.service", facts=facts)
    assert verdicts[f"{name}.service"].protected


@pytest.mark.parametrize("name", ["xenstored.socket", "xenstored_ro.socket", "virtlogd.socket", "ssh.socket"])
def test_sockets_of_it_are_not_stopped_either(name):
    assert decide(name)[name].protected


@pytest.mark.parametrize("name", [*NEVER, "xendomains.service", "xen*", "ss?", "virtlogd.socket", "x*", "systemd-*"])
def test_asking_to_stop_it_is_an_error(name):
    with pytest.raises(AnsibleFilterError, match=r"which is never stopped \(.*take it out of the list"):
        plan(stop=[name])


@pytest.mark.parametrize(
    "name",
    [
        *(
            "postfix",
            "exim4",
            "rpcbind",
            "avahi-daemon",
            "cups",
            "nginx",
            "lighttpd",
            "snmpd",
            "inetd",
            "xinetd",
            "cron",
        ),
        *("systemd-journal-remote", "systemd-journal-gatewayd", "check-mk-agent", "x11-common", "debug-shell", "tftpd"),
        *("nfs-server", "smbd", "bluetooth", "polkit", "sendmail", "telnet", "vsftpd", "mysql", "docker", "netdata"),
    ],
)
def test_what_goes(name):
    assert not decide(f"{name}.service")[f"{name}.service"].stays


def test_what_stays_by_default_goes_by_request():
    assert decide("rsyslog.service", "apt-daily.timer")["rsyslog.service"].stays
    verdicts = decide("rsyslog.service", "apt-daily.timer", stop=["rsyslog", "apt-daily*"])
    assert not any(verdict.stays for verdict in verdicts.values())


def test_libvirt_listens_where_it_runs_the_guests():
    libvirt = {"toolstack": {"detected": "xl", "libvirt": True}}
    assert not decide("libvirtd-tcp.socket")["libvirtd-tcp.socket"].stays
    assert decide("libvirtd-tcp.socket", facts=libvirt)["libvirtd-tcp.socket"].stays
    assert decide("polkit.service", toolstack="libvirt")["polkit.service"].stays
    assert not decide("polkit.service", facts=libvirt, toolstack="xl")["polkit.service"].stays


def test_a_node_without_a_tool_stack_is_warned_of():
    facts = {"toolstack": {"detected": "none", "libvirt": False}}
    assert "is it a Dom0?" in plan(facts)["warnings"][0]
    assert plan(facts, toolstack="xl")["warnings"] == []


def test_what_is_kept_by_hand_is_told_apart():
    policy = plan(keep=["postfix", "postfix", "ceph-*"])
    assert policy["wanted"] == ["postfix", "ceph-*"]
    assert decide("postfix.service", "postfix.socket", keep=["postfix.service"])["postfix.socket"].stays is False


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"keep": "postfix"}, "write a list of unit names"),
        ({"keep": ["*"]}, "means every unit.*report"),
        ({"keep": ["*.service"]}, "means every unit"),
        ({"keep": ["multi user"]}, "cannot be the name of a unit"),
        ({"keep": [7]}, "cannot be the name of a unit"),
        ({"keep": ["srv.mount"]}, "a mount is left alone"),
        ({"stop": ["a/b"]}, "cannot be the name of a unit"),
        ({"keep": ["cups"], "stop": ["cups"]}, "take it out of one of them"),
        ({"action": "masked"}, "did you mean mask"),
        ({"toolstack": "xapi"}, "write one of auto, xl, xend, libvirt"),
        ({"kernel_ports": ["7789"]}, "such as tcp/7789"),
        ({"kernel_ports": ["tcp/0"]}, "such as tcp/7789"),
        ({"kernel_ports": ["tcp/70000"]}, "such as tcp/7789"),
        ({"purge_packages": ["openssh-server"]}, "cannot do without"),
        ({"purge_packages": ["xen-utils-4.17"]}, "cannot do without"),
        ({"purge_packages": ["--force"]}, "cannot be the name of a package"),
    ],
)
def test_what_does_not_make_sense_is_refused(settings, message):
    with pytest.raises(AnsibleFilterError, match=message):
        plan(**settings)


def test_every_need_has_a_reason_and_no_pattern_means_everything():
    for need in (*services.NEEDS, services.CRON, services.LIBVIRT):
        assert need.reason
        assert services.check_patterns(list(need.patterns), "the policy")
