# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services Dom0 needs, and why: the policy that the host closes over its own units."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.platforms import check_platform

ACTIONS = ("mask", "disable", "report")
TOOLSTACKS = ("xl", "xend", "libvirt")
# Unit names (systemd.unit), init scripts, bus names, and the wildcards of fnmatch.
PATTERN = re.compile(r"[A-Za-z0-9:_.@\\\-*?\[\]!]+")
KINDS = (".service", ".socket", ".timer", ".path", ".dbus")
OTHER_KINDS = (".target", ".mount", ".automount", ".swap", ".device", ".slice", ".scope")


@dataclass(frozen=True)
class Need:
    """Units that stay where they are installed. A pattern without a suffix means every kind of unit of that name."""

    reason: str
    patterns: tuple[str, ...]
    # No setting takes it away: without it guests suffer, or nobody gets in any more.
    protected: bool = True
    unless: tuple[str, ...] = ()
    # Only where a file system of one of these types is mounted, or is to be at boot.
    filesystems: tuple[str, ...] = ()
    # Whether one that is installed later may start by itself.
    preset: bool = False


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# XEN-era names and today's, of Debian, Red Hat and SUSE.
NEEDS = (
    Need(
        "runs guests (Xen)",
        words(
            "xen xen-* xencommons xend xend-* xendomains xenstored xenstored_ro xenconsoled xendriverdomain "
            "xenwatchdogd xenbackendd oxenstored var-lib-xenstored libxl-* blktapctrl tapdisk*"
        ),
        preset=True,
    ),
    Need(
        "runs guests (libvirt)",
        words("libvirtd libvirtd-* libvirt-bin libvirt-guests virt*d virt*d-* virtlog* virtlock*"),
        unless=("*-tcp.socket", "*-tls.socket"),
    ),
    Need(
        "runs guests (XAPI)",
        words(
            "xapi xapi-* xcp-* xenopsd* xe-* forkexecd squeezed message-switch* v6d varstored* nbdserver "
            "perfmon mpathalert qemuback genptoken attach-static-vdis save-boot-info"
        ),
    ),
    Need(
        "keeps a cluster of guests together",
        words("corosync* pacemaker* pcsd sbd* heartbeat o2hbmonitor dlm* lvmlockd clvm* cman ganeti* sanlock* wdmd"),
    ),
    Need("resets the machine when it stops", words("watchdog wd_keepalive")),
    Need("the operator's way in", words("ssh ssh@* sshd sshd@* sshd-* dropbear dropbear@* dropbear-* tinysshd*")),
    Need(
        "the operator's last way in",
        words(
            "getty* serial-getty* console-getty* container-getty* autovt* serial-console emergency rescue "
            "keyboard-setup* console-setup* console-screen* kbd"
        ),
    ),
    Need(
        "looks up and admits accounts",
        words("sssd sssd-* nscd unscd nslcd winbind realmd ypbind nis oddjobd pam_* nss-*"),
    ),
    Need(
        "sets up the network",
        words(
            "networking network network@* NetworkManager NetworkManager-* systemd-networkd* systemd-resolved* "
            "netplan* ifup* ifupdown* wicked* connman* dhcpcd* dhclient* wpa_supplicant* netif.* net.* "
            "resolvconf* openvswitch* ovs-* ovsdb-* ovn-controller* wg-quick@* cloud-init-local "
            "cloud-init-network bridge-* vlan* rdisc* dhcp-interface* *-wait-online"
        ),
    ),
    Need(
        "part of systemd",
        words(
            "systemd-* user@* user-runtime-dir@* initrd-* quotaon* modprobe@* kmod* ldconfig system-update-* initctl*"
        ),
        unless=words("systemd-journal-gatewayd* systemd-journal-remote*"),
    ),
    Need("hands out devices", words("udev udev-* udevd mdev eudev devfs* hwdrivers mkinitrd* hwclock*")),
    Need(
        "part of the start and the end of the system",
        words(
            "procps sysctl rc-local rc.local local rc rcS single halt reboot sendsigs umountfs umountnfs.sh "
            "umountroot mountall* mountdevsubfs.sh mountkernfs.sh mountnfs* mount-configfs mount-ro checkfs.sh "
            "checkroot* bootlogs bootmisc* hostname* killprocs motd rmnologin urandom random seedrng skeleton "
            "stop-bootlogd* bootlogd brightness modules module-init-tools fsck root localmount swap* netmount "
            "savecache termencoding bootmisc dmesg loopback cryptdisks* cryptsetup* dracut-* plymouth* grub-* "
            "selinux-* apparmor* restorecond"
        ),
    ),
    Need(
        "the system's message bus", words("dbus dbus-broker messagebus dbus-org.freedesktop.login1 elogind consolekit")
    ),
    Need(
        "keeps the time",
        words(
            "chrony chronyd chrony-* chronyd-* ntp ntpd ntp-* ntpsec ntpsec-* ntpdate* openntpd sntp* "
            "systemd-timesyncd ptp4l* phc2sys*"
        ),
        preset=True,
    ),
    Need(
        "storage of the guests",
        words(
            "lvm lvm2* lvm-* dm-event* dmeventd blk-availability iscsi* open-iscsi* multipath* mdadm* "
            "mdmonitor* mdcheck* mdmon@* drbd* dmraid* zfs* zed bcache* ceph* rbdmap* radosgw* gluster* o2cb "
            "ocfs2 nbd-client nbd@* fcoe* lldpad rbd-* nvmf-* nvme* stratisd* vdo* bcachefs* linstor*"
        ),
        preset=True,
    ),
    Need(
        "storage that is mounted over NFS",
        words(
            "rpcbind portmap rpc-* rpc_* nfs-client* nfs-common nfs-idmapd nfs-utils nfs-blkmap "
            "auth-rpcgss-module statd"
        ),
        filesystems=("nfs", "nfs4"),
    ),
    Need("storage that is mounted on demand", words("autofs*"), filesystems=("autofs",), protected=False),
    # Whether or not one is there yet: the roles come in any order.
    Need("set up by xensec.hardening", words("xensec-*"), preset=True),
    Need(
        "the packet filter",
        words(
            "nftables iptables* ip6tables* ipset* netfilter-persistent firewalld ufw shorewall* ferm "
            "arptables* ebtables* fail2ban sshguard crowdsec*"
        ),
        preset=True,
    ),
    Need(
        "keeps the logs",
        words(
            "rsyslog rsyslogd syslog syslogd syslog-ng* sysklogd klogd inetutils-syslogd auditd audit-* "
            "auditctl logrotate*"
        ),
        protected=False,
        preset=True,
    ),
    Need(
        "installs security updates",
        words("unattended-upgrades apt-daily apt-daily-upgrade dnf-automatic* yum-cron*"),
        protected=False,
        preset=True,
    ),
    Need(
        "looks after file systems and disks",
        words("fstrim e2scrub* xfs_scrub* smartd smartmontools"),
        protected=False,
        preset=True,
    ),
    Need(
        "gives the kernel what it needs", words("haveged rngd* rng-tools* microcode* intel-microcode"), protected=False
    ),
)
# Without timers, it is cron that rotates the logs.
CRON = Need("rotates the logs where there are no timers", words("cron crond cronie fcron"), protected=False)
LIBVIRT = Need(
    "runs guests (libvirt)",
    words("libvirtd-tcp libvirtd-tls virtproxyd-tcp virtproxyd-tls virtxend-* polkit polkitd"),
    protected=False,
)
# Packages whose removal is a lock-out, or the end of the guests, whatever apt thinks of it.
PROTECTED_PACKAGES = words(
    "openssh-server dropbear* xen-* libxen* libvirt-daemon* systemd systemd-* sysvinit-core udev dbus* "
    "init linux-image-* ifupdown* netplan.io network-manager python3 python3-minimal python2* sudo "
    "libc6 bash dash coreutils apt dpkg"
)


def check_patterns(value: object, variable: str) -> list[str]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"{variable} is {value!r}: write a list of unit names, such as [postfix, 'ceph-*']")
    for pattern in value:
        if not isinstance(pattern, str) or not PATTERN.fullmatch(pattern):
            raise ValueError(
                f"{variable} has {pattern!r}, which cannot be the name of a unit: write one such as postfix, "
                "cups.socket or 'ceph-*'"
            )
        if not re.search(r"[A-Za-z0-9]", pattern.rpartition(".")[0] if pattern.endswith(KINDS) else pattern):
            raise ValueError(
                f"{variable} has {pattern!r}, which means every unit: name those you mean; to change nothing at all, "
                "set dom0_services_action to report"
            )
        if pattern.endswith(OTHER_KINDS):
            raise ValueError(
                f"{variable} has {pattern!r}: only services, sockets, timers and paths are decided on, a "
                f"{pattern.rpartition('.')[2]} is left alone anyway; name the services you mean"
            )
    return list(dict.fromkeys(value))


def check_choice(value: object, variable: str, choices: Sequence[str]) -> str:
    if value not in choices:
        close = difflib.get_close_matches(str(value), choices, 1)
        raise ValueError(
            f"{variable} is {value!r}: write one of {', '.join(choices)}"
            + (f"; did you mean {close[0]}?" if close else "")
        )
    return str(value)


def check_kernel_ports(value: Sequence[object]) -> list[str]:
    for port in value:
        protocol, _slash, number = str(port).partition("/")
        if protocol not in ("tcp", "udp") or not number.isdecimal() or not 1 <= int(number) <= 65535:
            raise ValueError(
                f"dom0_services_kernel_ports has {port!r}: write protocol and port, such as tcp/7789 or udp/51820"
            )
    return [str(port) for port in value]


def check_packages(value: Sequence[object]) -> list[str]:
    for package in value:
        if not isinstance(package, str) or not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", package):
            raise ValueError(f"dom0_services_purge_packages has {package!r}, which cannot be the name of a package")
        if any(fnmatch.fnmatchcase(package, pattern) for pattern in PROTECTED_PACKAGES):
            raise ValueError(
                f"dom0_services_purge_packages has {package!r}, which Dom0 cannot do without: take it out of the list"
            )
    return [str(package) for package in value]


def find_protected(pattern: str, needs: Sequence[Need]) -> Need | None:
    """Return the protected need that a pattern names outright, or whose names lie within what it means."""
    plain = pattern.removesuffix(next((kind for kind in KINDS if pattern.endswith(kind)), ""))
    for need in needs:
        if not need.protected or need.filesystems:
            continue
        if any(fnmatch.fnmatchcase(name, other) for name in (plain, pattern) for other in need.unless):
            continue
        for name in need.patterns:
            if fnmatch.fnmatchcase(plain, name) or ("*" not in name and fnmatch.fnmatchcase(name, plain)):
                return need
    return None


def choose_toolstack(wanted: str, facts: Mapping[str, Any]) -> str:
    found = facts.get("toolstack") or {}
    if wanted != "auto":
        return wanted
    if found.get("libvirt"):
        return "libvirt"
    return str(found.get("detected", "none"))


def service_policy(settings: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what M(xensec.hardening.service_allowlist) is to do, from the role's variables and the node's facts.

    :raises ValueError: a variable does not make sense, or asks for what is never done.
    """
    check_platform("dom0_services", settings, facts)
    action = check_choice(settings["action"], "dom0_services_action", ACTIONS)
    wanted = check_choice(settings["toolstack"], "dom0_services_toolstack", ("auto", *TOOLSTACKS))
    toolstack = choose_toolstack(wanted, facts)
    keep = check_patterns(settings["keep"], "dom0_services_keep")
    stop = check_patterns(settings["stop"], "dom0_services_stop")
    for pattern in stop:
        if pattern in keep:
            raise ValueError(
                f"{pattern!r} is in dom0_services_keep and in dom0_services_stop: take it out of one of them"
            )
        need = find_protected(pattern, NEEDS)
        if need:
            raise ValueError(
                f"dom0_services_stop has {pattern!r}, which is never stopped ({need.reason}): take it out of the list"
            )
    needs = [*NEEDS, *([LIBVIRT] if toolstack == "libvirt" else [])]
    warnings = []
    if toolstack == "none":
        warnings.append(
            "no tool stack was found on this node: is it a Dom0? The services of every tool stack are kept where they are "
            "installed; set dom0_services_toolstack to say which one it has"
        )
    own = Need("listed in dom0_services_keep", tuple(keep), protected=False, preset=True)
    return {
        "action": action,
        "toolstack": toolstack,
        "keep": [entry(need) for need in (*needs, own) if need.patterns],
        "keep_without_timers": [entry(CRON)],
        "wanted": keep,
        "stop": stop,
        "preset": bool(settings["preset"]),
        "kernel_ports": check_kernel_ports(settings["kernel_ports"]),
        "purge_packages": check_packages(settings["purge_packages"]),
        "warnings": warnings,
    }


def entry(need: Need) -> dict[str, Any]:
    """A need as the module takes it."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(need).items() if value}
