# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this scenario share: the role run as an operator would, and what a node runs."""

import json
import subprocess
from pathlib import Path

from labtest import ansible

FOLDER = Path(__file__).resolve().parents[1]
SYSTEMD_NODES = ("node1", "node2", "node3")
# systemd's own; oneshots that some releases leave behind as active; timers that wait for a kernel's features.
ENVIRONMENT = ("systemd-", "user@", "user-runtime-dir@", "modprobe@", "ldconfig.", "getty@", "e2scrub_all.timer")
KINDS = "service,socket,timer,path"
# What a node runs and starts once the role has been there.
KEPT = {"lab-kept.service", "lab-store.service", "lab-store.socket", "lab-part.service"}
GUESTS = {"lab-guest.service", "lab-autostart.service", "xen.service", "xendomains.service"}
SYSTEM = {
    *("blk-availability.service", "dbus.service", "dbus.socket", "dm-event.socket", "ifupdown-pre.service"),
    *("lab-network.service", "lvm2-lvmpolld.socket", "lvm2-monitor.service", "networking.service", "rsyslog.service"),
    *("ssh.service", "syslog.socket"),
}
ACTIVE = {
    "node1": SYSTEM | KEPT | GUESTS,
    "node2": SYSTEM | KEPT | GUESTS,
    "node3": SYSTEM | KEPT | GUESTS | {"sshd-unix-local.socket"},
}
ENABLED = {
    *("blk-availability.service", "chrony.service", "dm-event.socket", "fstrim.timer", "getty@.service"),
    *("lab-kept.service", "lab-network.service", "lab-store.socket", "lvm2-lvmpolld.socket", "lvm2-monitor.service"),
    *("networking.service", "rsyslog.service", "ssh.service", "systemd-pstore.service", *GUESTS),
}
DEBIAN = {
    "node1": {"e2scrub_all.timer", "e2scrub_reap.service"},
    "node2": {"e2scrub_all.timer", "e2scrub_reap.service"},
    "node3": {"sshd-keygen.service", "sshd-unix-local.socket"},
}
SYSV = {"node4": {"cron", "dbus", "rsyslog", "ssh", "udev"}}
LINKED = {
    *("bootlogs", "bootmisc.sh", "brightness", "chrony", "cron", "dbus", "hostname.sh", "lab-network", "mountall.sh"),
    *("mountall-bootclean.sh", "mountnfs.sh", "mountnfs-bootclean.sh", "networking", "procps", "rc.local", "rmnologin"),
    *("rsyslog", "ssh", "urandom", "xen", "xendomains"),
}


def run_role(*extra, variables=None, limit="xen_nodes", playbook="converge.yml"):
    command = ansible(
        *("ansible-playbook", "--limit", limit, "--extra-vars", json.dumps(variables or {}), *extra),
        str(FOLDER / playbook),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    done.output = done.stdout + done.stderr
    return done


def units(node, *what):
    """The names that systemctl lists of what is decided on."""
    listed = node.check_output(f"systemctl {' '.join(what)} --type={KINDS} --plain --no-legend --no-pager --full")
    return {line.split()[0] for line in listed.splitlines()}


def record(node):
    return json.loads(node.check_output("cat /var/lib/xensec/service_allowlist.json"))


def active(node):
    return {unit for unit in units(node, "list-units --state=active") if not unit.startswith(ENVIRONMENT)}
