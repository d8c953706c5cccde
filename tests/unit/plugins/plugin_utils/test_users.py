# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in: what is refused, with its remedy, and what comes out."""

from __future__ import annotations

import copy

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter import dom0_users_plan
from ansible_collections.xensec.hardening.plugins.plugin_utils import users
from hypothesis import given
from hypothesis import strategies as st


def user(uid, **more):
    described = {"uid": uid, "local": True, "password": False, "key": False, "expired": False}
    return {**described, "administrator": False, "service": False, **more}


KNOWN = [key.lower() for key, _value in (*users.SSHD_SETTINGS, *users.SSHD_GLOBALS)]
FACTS = {
    "platform": {"id": "debian", "like": []},
    "users": {
        "root": user(0, key=True, administrator=True),
        "ops": user(1000, key=True, administrator=True, password=True),
        "alice": user(1001, password=True),
        "keyed": user(1002, key=True),
        "backend": user(1500, service=True),
        "ldap": {
            **dict.fromkeys(("password", "key", "expired", "administrator")),
            "uid": 7,
            "local": False,
            "service": False,
        },
    },
    "uid_min": 1000,
    "login": None,
    "sshd": {"settings": {key: ["yes"] for key in KNOWN}, "drop_in": True, "keys_elsewhere": False},
    "pam": {"common": True, "unguarded": []},
}
OPS = {"account": "ops", "uid": 1000, "become": "sudo"}


ROOT = {"account": "root", "uid": 0, "become": None}


def plan(allowed, login="root", **more):
    facts = copy.deepcopy(FACTS)
    facts["login"] = ROOT if login == "root" else login
    facts["sshd"].update({key: more.pop(key) for key in ("drop_in", "keys_elsewhere") if key in more})
    facts["pam"].update({key: more.pop(key) for key in ("common", "unguarded") if key in more})
    for name in more.pop("expired", ()):
        facts["users"][name]["expired"] = True
    return users.plan({"allowed": allowed, "untried_platforms": False, **more}, "node1", facts)


@pytest.mark.parametrize(
    "allowed, more, message",
    [
        ([], {}, r"is empty, which would close every account: add the one you come in by, .*\[root\]"),
        (None, {}, "write a list"),
        ("root", {}, "write a list"),
        (["root", "mallory"], {}, "no account of that name: correct the line '- mallory'"),
        (["root", "al ice"], {}, "would not take"),
        (["root", "*"], {}, "would not take"),
        (["root", "ops@host"], {}, "would not take"),
        (["root", "!ops"], {}, "would not take"),
        (["root", "ALL"], {}, "would not take"),
        (["root", 7], {}, "would not take"),
        (["root", "ops\n"], {}, "would not take"),
        (["ops"], {}, "comes in as 'root', .*: add the line '- root'"),
        (["root"], {"login": OPS}, "comes in as 'ops', .*: add the line '- ops'"),
        (["root"], {"permit_root_login": "no"}, "comes in as 'root', and dom0_users_permit_root_login is 'no'"),
        (["root"], {"permit_root_login": "yes"}, "write one of auto, no, prohibit-password"),
        (["root"], {"password": True}, "by a password, .*add a line with your public key"),
        (["alice"], {"login": {"account": "alice", "uid": 1001, "become": "sudo"}}, "add a line with your public key"),
        (["alice"], {"login": None}, "has a key that lets it in over ssh: add a line with a public key"),
        (["keyed"], {"login": None}, "can become root: add the line '- root'"),
        (["root"], {"login": None, "permit_root_login": "no"}, "has a key that lets it in over ssh"),
        (["root"], {"expired": ["root"]}, "is expired: run 'chage -E -1 root'"),
        (["root"], {"common": False}, "has no /etc/pam.d/common-auth"),
        (["root"], {"kernel_exceptions": ["net.ipv4.ip_forward"]}, "which this role does not set"),
        (["root"], {"tunnels": [{"account": "ops", "permit_open": ["[::1]:8002"]}]}, "add the line '- ops'"),
        (["root"], {"tunnels": [{"account": "root", "permit_open": ["any"]}]}, "write HOST:PORT"),
        (["root"], {"tunnels": [{"account": "root", "permit_open": []}]}, "write account and permit_open"),
        (
            ["root"],
            {"drop_in": False, "tunnels": [{"account": "root", "permit_open": ["127.0.0.1:8002"]}]},
            "take the tunnels away",
        ),
    ],
)
def test_what_is_refused(allowed, more, message):
    with pytest.raises(ValueError, match=message):
        plan(allowed, **more)


def test_the_filter_says_it_as_ansible_does():
    with pytest.raises(AnsibleFilterError, match="is empty"):
        dom0_users_plan.FilterModule().filters()["dom0_users_plan"]({"allowed": []}, "node1", FACTS)


@pytest.mark.parametrize(
    "login, allowed, wanted, value",
    [
        ("root", ["root", "ops"], "auto", "prohibit-password"),
        (OPS, ["root", "ops"], "auto", "no"),
        (OPS, ["root", "ops"], "prohibit-password", "prohibit-password"),
        (OPS, ["root", "ops"], False, "no"),
        (None, ["root"], "auto", "prohibit-password"),
        (None, ["ops"], "auto", "no"),
    ],
)
def test_root_logs_in_only_where_ansible_does(login, allowed, wanted, value):
    planned = plan(allowed, login, permit_root_login=wanted)
    assert planned["permit_root_login"] == value
    assert planned["sshd"][allowed[0]]["permitrootlogin"] == [value]


def content(planned, path):
    return next(item["content"] for item in planned["files"] if item["path"] == path)


def test_a_drop_in_is_proof_against_what_comes_after_it():
    planned = plan(["root", "ops"])
    lines = content(planned, users.DROP_IN).splitlines()
    assert "AllowUsers ops root" in lines
    others = lines.index('Match User "*,!ops,!root"')
    assert lines[others + 1] == "    DenyUsers *"
    assert "    PasswordAuthentication no" in lines[lines.index("Match all") :]
    assert planned["sshd"]["nobody"]["denyusers"] == ["*"]
    assert "denyusers" not in planned["sshd"]["root"]


def test_an_older_sshd_gets_a_block_without_a_match():
    planned = plan(["root"], drop_in=False)
    block = next(item for item in planned["blocks"] if item["path"] == users.SSHD_CONFIG)
    assert "AllowUsers root\n" in block["content"]
    assert "Match" not in block["content"]
    assert users.DROP_IN not in [item["path"] for item in planned["files"]]


def test_a_setting_the_server_does_not_know_is_left_out():
    facts = copy.deepcopy(FACTS)
    del facts["sshd"]["settings"]["gssapiauthentication"]
    planned = users.plan({"allowed": ["root"]}, "node1", facts)
    assert "GSSAPI" not in content(planned, users.DROP_IN)
    assert "gssapiauthentication" not in planned["sshd"]["root"]


def test_a_tunnel_is_all_that_is_forwarded():
    planned = plan(["root", "ops"], tunnels=[{"account": "root", "permit_open": ["127.0.0.1:8002"]}])
    text = content(planned, users.DROP_IN)
    assert text.index("Match User root\n    AllowTcpForwarding local\n    PermitOpen 127.0.0.1:8002") < text.index(
        "Match all"
    )
    assert planned["sshd"]["root"]["allowtcpforwarding"] == ["local"]
    assert planned["sshd"]["ops"]["allowtcpforwarding"] == ["no"]


def test_root_is_never_kept_from_the_console():
    planned = plan(["ops"], OPS)
    access = content(planned, users.ACCESS).splitlines()
    assert "+ : root : ALL" in access
    assert access[-1] == "- : ALL : ALL"
    assert content(planned, users.OPERATORS) == "ops\nroot\n"
    assert "AllowUsers ops\n" in content(planned, users.DROP_IN)


def test_the_jobs_of_a_service_go_on():
    access = content(plan(["root"]), users.ACCESS).splitlines()
    assert [line for line in access if line.startswith("+ : backend : cron ")]
    assert not [line for line in access if "alice" in line]


def test_warnings_name_what_could_not_be_checked():
    assert plan(["root"])["warnings"] == []
    assert "cannot tell which account" in plan(["root"], None)["warnings"][0]
    assert "vsftpd" in plan(["root"], unguarded=["vsftpd"])["warnings"][0]
    login = {"account": "alice", "uid": 1001, "become": "sudo"}
    assert "left to the proof" in plan(["alice"], login, keys_elsewhere=True)["warnings"][0]


def test_without_the_check_beforehand_only_the_rollback_guards():
    assert plan(["root"], permit_root_login="no", precheck=False)["permit_root_login"] == "no"


def test_an_account_of_a_directory_may_be_allowed():
    assert plan(["root", "ldap"])["allowed"] == ["root", "ldap"]


def test_kernel_settings_can_be_left_out_and_leave_guests_alone():
    keys = [item["key"] for item in plan(["root"], kernel_exceptions=["kernel.yama.ptrace_scope"])["kernel"]]
    assert "kernel.yama.ptrace_scope" not in keys
    assert "kernel.unprivileged_userns_clone" in keys
    assert not [key for key in keys if "forward" in key or "bridge" in key or "rp_filter" in key]


@given(st.lists(st.text(max_size=8), max_size=3))
def test_no_name_gets_more_into_a_file_than_a_name(names):
    """Whatever is asked for: it is refused, or each file has one line for each name."""
    facts = copy.deepcopy(FACTS)
    facts["users"].update({name: user(3000, key=True) for name in names})
    try:
        planned = users.plan({"allowed": ["root", *names]}, "node1", facts)
    except ValueError:
        return
    assert content(planned, users.OPERATORS).split("\n") == [*sorted({"root", *names}), ""]
    assert not [
        line for line in content(planned, users.ACCESS).splitlines()[1:] if line.count(" ") != 4 and "ALL" in line
    ]
