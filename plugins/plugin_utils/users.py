# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in to Dom0, and by which doors: from the role's variables to files and kernel settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.platforms import check_platform

OPERATORS = "/etc/xensec/operators"
ACCESS = "/etc/xensec/access.conf"
DROP_IN = "/etc/ssh/sshd_config.d/00-xensec.conf"
SSHD_CONFIG = "/etc/ssh/sshd_config"
# What sshd, pam_access and cron all take for a name, and for nothing but a name.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?\Z")
PAM_WORDS = ("ALL", "EXCEPT", "LOCAL")
ROOT_LOGINS = ("auto", "no", "prohibit-password")
# In the order they are written; a server that does not know one does not get it.
SSHD_SETTINGS = (
    ("PubkeyAuthentication", "yes"),
    ("PasswordAuthentication", "no"),
    ("KbdInteractiveAuthentication", "no"),
    ("HostbasedAuthentication", "no"),
    ("GSSAPIAuthentication", "no"),
    ("KerberosAuthentication", "no"),
    ("PermitEmptyPasswords", "no"),
    ("AuthenticationMethods", "publickey"),
    ("X11Forwarding", "no"),
    ("AllowAgentForwarding", "no"),
    ("AllowStreamLocalForwarding", "no"),
    ("AllowTcpForwarding", "no"),
    ("GatewayPorts", "no"),
    ("PermitTunnel", "no"),
)
# They mean the whole server, and cannot be in a Match.
SSHD_GLOBALS = (
    ("ChallengeResponseAuthentication", "no"),
    ("UsePAM", "yes"),
    ("PermitUserEnvironment", "no"),
    ("StrictModes", "yes"),
)
# Where root, or a daemon of root's, opens a session for a system account that nobody logs in to.
SYSTEM_SERVICES = (
    "cron:crond:atd:su:su-l:runuser:runuser-l:systemd-user:gdm-launch-environment:lightdm-greeter:sddm-greeter"
)

HEADER = "# Written by xensec.hardening.dom0_users; a change made here is taken back by its next run.\n"


@dataclass(frozen=True)
class Tunnel:
    """What one account may forward: connections to these addresses of the node."""

    account: str
    permit_open: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """A setting of the kernel. Where a greater number is stricter, what is there already is not loosened."""

    name: str
    value: int
    why: str
    minimum: bool = False
    without: str = ""


KERNEL = (
    Key(
        "kernel.unprivileged_userns_clone",
        0,
        "an unprivileged process that makes a user namespace is root in it, and reaches kernel code meant for root",
    ),
    Key(
        "user.max_user_namespaces",
        0,
        "the same, for kernels without Debian's switch; it also keeps services with PrivateUsers= from starting",
        without="kernel.unprivileged_userns_clone",
    ),
    Key("kernel.unprivileged_bpf_disabled", 1, "loading BPF programs is for root", minimum=True),
    Key("net.core.bpf_jit_harden", 2, "constants in BPF programs are blinded, against code smuggled in", minimum=True),
    Key("kernel.dmesg_restrict", 1, "the kernel's log has addresses in it, of the kernel and of guests", minimum=True),
    Key("kernel.kptr_restrict", 2, "addresses of the kernel are shown to nobody", minimum=True),
    Key("kernel.yama.ptrace_scope", 2, "only root looks into other processes", minimum=True),
    Key("kernel.perf_event_paranoid", 3, "performance events, a long list of past holes, are for root", minimum=True),
    Key("kernel.io_uring_disabled", 1, "io_uring, another such list, is for root", minimum=True),
    Key("vm.unprivileged_userfaultfd", 0, "page faults handled by a process make races in the kernel easy to win"),
    Key("dev.tty.ldisc_autoload", 0, "nobody loads a terminal driver's old code by opening a terminal"),
    Key("fs.protected_symlinks", 1, "links in /tmp of somebody else's making are not followed", minimum=True),
    Key("fs.protected_hardlinks", 1, "nobody links to a file that he could not write", minimum=True),
    Key("fs.protected_fifos", 2, "the same for pipes put where a program writes", minimum=True),
    Key("fs.protected_regular", 2, "the same for files put where a program writes", minimum=True),
    Key("fs.suid_dumpable", 0, "no core dump of a program that has more rights than its user"),
)


def check_allowed(raw: Any, users: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names, each once, in their order."""
    if isinstance(raw, str) or not isinstance(raw, Sequence):
        raise ValueError(f"dom0_users_allowed is {raw!r}: write a list, as in dom0_users_allowed: [root]")
    if not raw:
        raise ValueError(
            "dom0_users_allowed is empty, which would close every account: add the one you come in by, "
            "as in dom0_users_allowed: [root]"
        )
    for name in raw:
        if not isinstance(name, str) or not NAME.match(name) or name in PAM_WORDS:
            raise ValueError(
                f"dom0_users_allowed has {name!r}, which sshd or PAM would not take for an account's name alone: "
                "write a name of letters, digits, '_', '.' and '-'; give the operator another account if it has others"
            )
        if name not in users:
            known = ", ".join(sorted(one for one, user in users.items() if user["key"] or user["password"]))
            raise ValueError(
                f"dom0_users_allowed has {name!r}, and this host has no account of that name: correct the line "
                f"'- {name}', or create the account first (accounts that can log in: {known or 'none'})"
            )
    return list(dict.fromkeys(raw))


def check_tunnels(raw: Sequence[Mapping[str, Any]], allowed: Sequence[str]) -> list[Tunnel]:
    found = []
    for item in raw:
        if set(item) != {"account", "permit_open"} or not item["permit_open"]:
            raise ValueError(
                f"dom0_users_tunnels has {dict(item)!r}: write account and permit_open, "
                "as in {account: root, permit_open: ['127.0.0.1:8002']}"
            )
        if item["account"] not in allowed:
            raise ValueError(
                f"dom0_users_tunnels lets {item['account']!r} forward, which dom0_users_allowed does not have: "
                f"add the line '- {item['account']}' to it, or take the tunnel away"
            )
        for target in item["permit_open"]:
            host, _colon, port = str(target).rpartition(":")
            if not re.match(r"[A-Za-z0-9.-]+\Z|\[[0-9A-Fa-f:]+\]\Z", host) or not port.isdecimal() or int(port) > 65535:
                raise ValueError(
                    f"dom0_users_tunnels has the target {target!r}: write HOST:PORT, as in 127.0.0.1:8002 or [::1]:8002"
                )
        found.append(Tunnel(item["account"], tuple(str(target) for target in item["permit_open"])))
    if len({tunnel.account for tunnel in found}) < len(found):
        raise ValueError("dom0_users_tunnels names an account twice: give one entry all of its targets")
    return found


def root_login(wanted: str | bool, login: Mapping[str, Any] | None, allowed: Sequence[str]) -> str:
    """PermitRootLogin, as tight as the connection that this comes in by permits."""
    # Written without quotes, YAML takes no for false.
    wanted = "no" if wanted is False else wanted
    if not isinstance(wanted, str) or wanted not in ROOT_LOGINS:
        raise ValueError(f"dom0_users_permit_root_login is {wanted!r}: write one of {', '.join(ROOT_LOGINS)}")
    if wanted != "auto":
        return wanted
    as_root = login["account"] == "root" if login else "root" in allowed
    return "prohibit-password" if as_root else "no"


def check_control(
    allowed: Sequence[str],
    facts: Mapping[str, Any],
    permit_root_login: str,
    password: bool,
) -> list[str]:
    """Refuse what would lock out the connection this comes in by, or everybody; return what could not be checked."""
    users, login, elsewhere = facts["users"], facts["login"], facts["sshd"]["keys_elsewhere"]
    warnings = []
    if login:
        name = login["account"]
        if name not in allowed:
            raise ValueError(
                f"this run comes in as {name!r}, which dom0_users_allowed does not have: add the line '- {name}' to it"
            )
        if name == "root" and permit_root_login == "no":
            raise ValueError(
                "this run comes in as 'root', and dom0_users_permit_root_login is 'no': "
                "write dom0_users_permit_root_login: auto, or come in as another account, with become"
            )
        if password or users.get(name, {}).get("key") is False:
            if not elsewhere or password:
                raise ValueError(
                    f"this run comes in as {name!r} by a password, or without a key that the host has in a file of the "
                    f"account's, and only keys will be let in: add a line with your public key to its "
                    f"~/.ssh/authorized_keys, and come in by it"
                )
            warnings.append(
                f"{name!r} has no key in a file of its own; that sshd has one from elsewhere is left to the proof "
                "over a new connection"
            )
    else:
        warnings.append(
            "the host cannot tell which account this connection logged in as, so it was not checked that "
            "dom0_users_allowed has it"
        )
    keyed = [
        name
        for name in allowed
        if users[name]["key"] is not False and not (name == "root" and permit_root_login == "no")
    ]
    if not keyed and not elsewhere:
        raise ValueError(
            f"none of dom0_users_allowed ({', '.join(allowed)}) has a key that lets it in over ssh: add a line with a "
            "public key to the ~/.ssh/authorized_keys of one, writable by its owner alone"
        )
    able = [
        name
        for name in allowed
        if users[name]["administrator"] or (login and name == login["account"]) or users[name]["administrator"] is None
    ]
    if not able:
        raise ValueError(
            f"none of dom0_users_allowed ({', '.join(allowed)}) can become root: add the line '- root', "
            "or add one of them to the group sudo"
        )
    expired = [name for name in allowed if users[name]["expired"]]
    if expired and set(expired) >= set(able):
        raise ValueError(f"the account {expired[0]!r} is expired: run 'chage -E -1 {expired[0]}' on the host first")
    return warnings


def sshd_config(
    allowed: Sequence[str],
    facts: Mapping[str, Any],
    permit_root_login: str,
    tunnels: Sequence[Tunnel],
) -> tuple[str, dict[str, dict[str, list[str]]]]:
    """Return the lines for the server, and what has to be in effect for whom once it has read them."""
    known = facts["sshd"]["settings"]
    settings = [(key, value) for key, value in SSHD_SETTINGS if key.lower() in known]
    settings.insert(0, ("PermitRootLogin", permit_root_login))
    users = ("AllowUsers", " ".join(sorted(allowed)))
    glob = [(key, value) for key, value in SSHD_GLOBALS if key.lower() in known]
    lines = [f"{key} {value}" for key, value in [users, *settings, *glob]]
    for tunnel in tunnels:
        lines += [
            "# A registered tunnel.",
            f"Match User {tunnel.account}",
            "    AllowTcpForwarding local",
            f"    PermitOpen {' '.join(tunnel.permit_open)}",
        ]
    if facts["sshd"]["drop_in"]:
        # A Match further down would win over what is said above, and AllowUsers adds up; but the first Match that
        # applies wins, and DenyUsers wins over AllowUsers.
        others = ",".join(["*", *(f"!{name}" for name in sorted(allowed))])
        lines += [
            "# No other file loosens this.",
            f'Match User "{others}"',
            "    DenyUsers *",
            "    AuthorizedKeysFile none",
        ]
        lines += ["Match all", *(f"    {key} {value}" for key, value in settings)]
    elif tunnels:
        raise ValueError(
            "dom0_users_tunnels needs an ssh server that reads /etc/ssh/sshd_config.d (Debian 11 or later), "
            "because a Match in the main file would take in all that comes after it: take the tunnels away"
        )
    common = {key.lower(): [value] for key, value in [*settings, *glob]}
    common["allowusers"] = sorted(allowed)
    expected = {name: dict(common) for name in [*allowed, "nobody"]}
    if facts["sshd"]["drop_in"]:
        expected["nobody"].update(denyusers=["*"], authorizedkeysfile=["none"])
    for tunnel in tunnels:
        expected[tunnel.account]["allowtcpforwarding"] = ["local"]
        expected[tunnel.account]["permitopen"] = [" ".join(tunnel.permit_open)]
    return "\n".join([*lines, ""]), expected


def pam_blocks(uid_min: int) -> list[dict[str, str]]:
    """The lines at the top of the files that every service includes, outside of what pam-auth-update rewrites."""
    operators = (
        "# su is for operators; root is one.\n"
        "{kind} [success=1 default=ignore] pam_succeed_if.so quiet service notin su:su-l\n"
        f"{{kind}} requisite pam_listfile.so item=ruser sense=allow file={OPERATORS} onerr=fail\n"
    )
    access = (
        "# Nobody logs in to a system account; root's jobs, and those of the services, go on running as them.\n"
        f"account [success=1 default=ignore] pam_succeed_if.so quiet uid > 0 uid < {uid_min} service in {SYSTEM_SERVICES}\n"
        f"account required pam_access.so nodefgroup accessfile={ACCESS}\n"
    )
    return [
        {"path": "/etc/pam.d/common-auth", "content": operators.format(kind="auth")},
        {"path": "/etc/pam.d/common-account", "content": operators.format(kind="account") + access},
    ]


def plan(settings: Mapping[str, Any], host: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what login_policy, account_allowlist and sysctl_settings are to be told.

    :arg facts: what dom0_info returned as accounts, and platform.
    :raises ValueError: it would lock the operator out, or makes no sense; the message has the remedy.
    """
    check_platform("dom0_users", settings, facts)
    users = facts["users"]
    allowed = check_allowed(settings["allowed"], users)
    tunnels = check_tunnels(settings.get("tunnels", []), allowed)
    permit = root_login(settings.get("permit_root_login", "auto"), facts["login"], allowed)
    if not facts["pam"]["common"]:
        raise ValueError(
            f"{host} has no /etc/pam.d/common-auth and common-account, which is where the accounts are closed for all "
            "services (Debian has them): this role does not secure it"
        )
    warnings = []
    if settings.get("precheck", True):
        warnings += check_control(allowed, facts, permit, bool(settings.get("password")))
    if facts["pam"]["unguarded"]:
        warnings.append(
            f"these PAM services do not include common-account, so who may use them is not up to this role: "
            f"{', '.join(facts['pam']['unguarded'])}"
        )
    text, expected = sshd_config(allowed, facts, permit, tunnels)
    names = sorted({"root", *allowed})
    listed = "".join(f"{name}\n" for name in names)
    uid_min = int(facts["uid_min"])
    # They cannot log in, but their jobs go on.
    services = [
        name
        for name, user in sorted(users.items())
        if user["service"] and user["uid"] >= uid_min and name not in names and NAME.match(name)
    ]
    access = HEADER + "".join(f"+ : {name} : ALL\n" for name in names)
    access += "".join(f"+ : {name} : {SYSTEM_SERVICES.replace(':', ' ')}\n" for name in services) + "- : ALL : ALL\n"
    files = [
        {"path": OPERATORS, "content": listed, "mode": "0644"},
        {"path": ACCESS, "content": access, "mode": "0644"},
        {"path": "/etc/cron.allow", "content": listed, "mode": "0644"},
        {"path": "/etc/at.allow", "content": listed, "mode": "0644"},
    ]
    blocks = pam_blocks(uid_min)
    if facts["sshd"]["drop_in"]:
        files.append({"path": DROP_IN, "content": HEADER + text, "mode": "0644"})
    else:
        blocks.append({"path": SSHD_CONFIG, "content": text})
    return {
        "allowed": allowed,
        "permit_root_login": permit,
        "files": files,
        "blocks": blocks,
        "sshd": expected,
        "kernel": kernel_settings(settings.get("kernel_exceptions", [])),
        "warnings": warnings,
    }


def kernel_settings(exceptions: Sequence[str]) -> list[dict[str, Any]]:
    known = {key.name for key in KERNEL}
    for name in exceptions:
        if name not in known:
            raise ValueError(
                f"dom0_users_kernel_exceptions has {name!r}, which this role does not set: "
                f"it sets {', '.join(sorted(known))}"
            )
    return [
        {"key": key.name, "value": str(key.value), "why": key.why, "minimum": key.minimum, "without": key.without}
        for key in KERNEL
        if key.name not in exceptions
    ]
