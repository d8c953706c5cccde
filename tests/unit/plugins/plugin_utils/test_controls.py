# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import copy
import datetime
import json
import re
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter.control_catalogue import control_catalogue
from ansible_collections.xensec.hardening.plugins.filter.control_summary import control_summary
from ansible_collections.xensec.hardening.plugins.filter.evaluate_controls import evaluate_controls
from ansible_collections.xensec.hardening.plugins.plugin_utils import controls as library
from hypothesis import given, settings
from hypothesis import strategies as st

RECORDED = Path(__file__).resolve().parent / "recorded"
CATALOGUE = control_catalogue([])
TODAY = "2026-07-01"
PLAN = {
    "scenario": "isolated_management",
    "toolstack": "xend",
    "enabled": True,
    "interface": "management0",
    "ports": [8002],
    "guarded_ports": [8002, 8003],
}


TEXTS = {name: (RECORDED / f"{name}.json").read_text() for name in ("node", "gateway")}


def recorded(name):
    """A node of the lab, hardened, and the gateway in front of it, as dom0_info returned them."""
    return json.loads(TEXTS[name])


def site_of(facts, **more):
    listeners = sorted(item["socket"] for item in facts["listeners"] if item["port"] in (8002, 8003))
    plan = {**PLAN, "listeners": listeners, **more.pop("plan", {})}
    return {"kind": "node", "plan": plan, "allowed_accounts": ["root"], "peer_keys": [], **more}


def by_id(results):
    return {result["id"]: result for result in results}


def failing(results):
    return {result["id"] for result in results if result["status"] != "pass" and result["status"] != "not_applicable"}


def put(facts, path, value):
    *parents, last = path.split("/")
    for name in parents:
        facts = facts[int(name)] if isinstance(facts, list) else facts[name]
    if isinstance(facts, list):
        facts.append(value) if last == "+" else facts.__setitem__(int(last), value)
    else:
        facts[last] = value


# --- the catalogue as it is shipped --------------------------------------------------------------------------


def test_it_has_what_was_asked_for():
    assert len(CATALOGUE) >= 40
    sources = " ".join(source for control in CATALOGUE for source in control["source"])
    for item in ("3.4", "3.5", "3.7-3.9", "3.10"):
        assert f"CIS Benchmark for Xen 3.2, {item}" in sources
    for part in (
        "smallest number of services",
        "firewall with default-reject rules",
        "no users on Dom0",
        "isolated management network",
        "subnet behind a firewall",
        "untrusted subnet",
        "NIST SP 800-125A",
    ):
        assert part in sources


def test_every_severity_and_remedy_is_of_use():
    assert {control["severity"] for control in CATALOGUE} == set(library.SEVERITIES)
    for control in CATALOGUE:
        assert control["remedy"].rstrip()[-1].isalnum() or control["remedy"].rstrip()[-1] in ".)$"
        # A role's variable that a remedy names is one that there is.
        for name in re.findall(r"\b(?:dom0_\w+|xend_relocation_\w+|perimeter_firewall_\w+)\b", control["remedy"]):
            roles = Path(__file__).resolve().parents[4] / "roles"
            role = next(role.name for role in sorted(roles.iterdir()) if name.startswith(role.name))
            assert name == role or name in (roles / role / "meta" / "argument_specs.yml").read_text()


# --- a weakness at a time ------------------------------------------------------------------------------------

SOCKET = {
    "protocol": "tcp",
    "address": "0.0.0.0",
    "port": 25,
    "socket": "tcp/0.0.0.0:25",
    "process": "master",
    "unit": "postfix.service",
    "exposed": True,
    "needed": False,
}
UNIT = {"name": "postfix.service", "active": True, "enabled": True, "needed": False, "reason": "nothing needs it"}
KEY = {"path": "/root/.ssh/authorized_keys", "line": 7, "comment": "root@node3", "key": "ssh-ed25519 AAAAPEER"}
CONSOLE = {
    "guest": "web",
    "source": "/etc/xen/web.cfg",
    "kind": "vnc",
    "listen": "0.0.0.0",
    "password": True,
    "exposed": True,
}
OFF = {"scenario": "untrusted_subnet", "interface": "", "listeners": []}
ON = "audit/xend/options/xend-relocation-server"
QUIET = [("listeners", []), (ON, False)]

# (what is done to the facts, what is done to the site, the controls that fail)
WEAKNESSES = [
    ([("platform", {"id": "fedora", "like": [], "name": "Fedora Linux 41"})], {}, {"platform-tried"}),
    ([("audit/services/+", UNIT)], {}, {"services-needed"}),
    ([("audit/services/+", dict(UNIT, active=False))], {}, {"services-needed"}),
    ([("audit/sockets/+", SOCKET)], {}, {"services-listening"}),
    ([("audit/sockets/+", dict(SOCKET, port=23, needed=True))], {}, {"services-clear-text"}),
    ([("audit/sockets/+", dict(SOCKET, port=16509, needed=True))], {}, {"services-libvirt-tcp"}),
    ([("audit/guest_data_parsers", ["/usr/bin/os-prober"])], {}, {"services-os-prober"}),
    ([("audit/guest_data_parsers", ["/usr/libexec/udisks2/udisksd"])], {}, {"services-automount"}),
    ([("audit/firewall/input/ipv4", "accept")], {}, {"firewall-default-ipv4"}),
    ([("audit/firewall/input/ipv6", "accept")], {}, {"firewall-default-ipv6"}),
    ([("audit/services", [])], {}, {"firewall-boot"}),
    ([("audit/firewall/neighbour_discovery", False)], {}, {"firewall-neighbour-discovery"}),
    ([("audit/firewall/guests_filtered", False)], {}, {"firewall-guests"}),
    (
        [("audit/firewall/guests_ineffective", ["inet filter input: iifname vif* drop"])],
        {},
        {"firewall-guests-ineffective"},
    ),
    (
        [("audit/bridges", {"xenbr0": []}), ("audit/firewall/forward_dropped", ["ip filter FORWARD"])],
        {},
        {"firewall-forward"},
    ),
    ([("audit/firewall/source_checks_everywhere", ["inet raw prerouting: fib"])], {}, {"firewall-source-checks"}),
    ([("audit/firewall/broad_sources", ["ip filter INPUT: 192.0.0.0/8"])], {}, {"firewall-broad-sources"}),
    ([("audit/firewall/duplicates", ["ip filter INPUT: -p tcp"])], {}, {"firewall-duplicates"}),
    ([("firewall_managers", ["firewalld"])], {}, {"firewall-one-owner"}),
    (
        [("accounts/users/guest", {"key": True, "password": False, "expired": False, "uid": 1000})],
        {},
        {"users-operators-only"},
    ),
    ([], {"allowed_accounts": ["ops"]}, {"users-operators-only"}),
    ([("audit/accounts/without_password", ["guest"])], {}, {"users-empty-password"}),
    ([("audit/accounts/second_roots", ["toor"])], {}, {"users-second-root"}),
    ([("accounts/pam/unguarded", ["vsftpd"])], {}, {"users-pam"}),
    ([("audit/ssh/1/passwordauthentication", "yes")], {}, {"ssh-passwords"}),
    ([("audit/ssh/1/kbdinteractiveauthentication", "yes")], {}, {"ssh-keyboard-interactive"}),
    ([("audit/ssh/1/challengeresponseauthentication", "yes")], {}, {"ssh-keyboard-interactive"}),
    ([("audit/ssh/1/permitemptypasswords", "yes")], {}, {"ssh-empty-passwords"}),
    ([("audit/ssh/0/permitrootlogin", "yes")], {}, {"ssh-root-password"}),
    ([("audit/ssh/1/hostbasedauthentication", "yes")], {}, {"ssh-host-based"}),
    ([("audit/ssh/1/allowtcpforwarding", "yes")], {}, {"ssh-forwarding"}),
    ([("audit/ssh/1/permittunnel", "ethernet")], {}, {"ssh-forwarding"}),
    ([("audit/ssh/1/x11forwarding", "yes")], {}, {"ssh-agent-and-x11"}),
    ([("audit/ssh/1/strictmodes", "no")], {}, {"ssh-files-checked"}),
    ([("accounts/sshd/keys_elsewhere", True)], {}, {"ssh-keys-elsewhere"}),
    ([("root_keys/admitted/+", KEY)], {"peer_keys": [KEY["key"]]}, {"root-logins-of-peers"}),
    (
        [*QUIET, ("root_keys/admitted/+", KEY)],
        {"peer_keys": [KEY["key"]], "plan": OFF},
        {"root-logins-of-peers-untrusted"},
    ),
    (
        [("audit/sysctls/kernel.unprivileged_userns_clone", 1), ("audit/sysctls/user.max_user_namespaces", 999)],
        {},
        {"kernel-user-namespaces"},
    ),
    ([("audit/sysctls/kernel.unprivileged_bpf_disabled", 0)], {}, {"kernel-bpf"}),
    ([("audit/sysctls/kernel.kptr_restrict", 0)], {}, {"kernel-addresses"}),
    ([("audit/sysctls/kernel.yama.ptrace_scope", 0)], {}, {"kernel-ptrace"}),
    ([("audit/sysctls/fs.protected_symlinks", 0)], {}, {"kernel-links"}),
    ([("audit/sysctls/fs.suid_dumpable", 2)], {}, {"kernel-dumps"}),
    ([], {"plan": None}, {"relocation-scenario"}),
    ([("listeners/+", {"port": 8003, "socket": "10.0.0.1:8003"})], {}, {"relocation-listeners"}),
    ([("listeners/+", {"port": 8003, "socket": "0.0.0.0:8003"})], {}, {"relocation-listeners", "relocation-bound"}),
    (
        [(ON, False)],
        {"plan": OFF},
        {"relocation-off", "relocation-listeners"},
    ),
    ([("audit/firewall/relocation_guarded/ipv4", False)], {}, {"relocation-guarded-ipv4"}),
    ([("audit/firewall/relocation_guarded/ipv6", False)], {}, {"relocation-guarded-ipv6"}),
    ([("audit/firewall/relocation_admitted_to_all", ["tcp dport 8002 accept"])], {}, {"relocation-admitted-to-all"}),
    ([("interfaces/management0/guests", True)], {}, {"relocation-own-interface"}),
    (
        [("relocation/installed", True), ("audit/relocation_keys", [{"line": 1, "forced": False, "from": True}])],
        {},
        {"relocation-keys-forced"},
    ),
    (
        [*QUIET, ("audit/xendomains/migrate", "--live node1")],
        {"plan": OFF},
        {"xendomains-migrate"},
    ),
    ([("audit/xend/options/xend-http-server", True)], {}, {"xend-http-server"}),
    ([("audit/xend/options/xend-tcp-xmlrpc-server", True)], {}, {"xend-tcp-xmlrpc-server"}),
    ([("audit/xend/xen_api/+", {"listener": "9363", "tcp": True, "authenticates": False})], {}, {"xend-xen-api"}),
    ([("audit/xend/xen_api/+", {"listener": "9363", "tcp": True, "authenticates": True})], {}, {"xend-xen-api-tcp"}),
    ([("audit/xend/hosts_allow/empty", True)], {}, {"xend-hosts-allow"}),
    ([("audit/xend/hosts_allow/admits_everybody", True)], {}, {"xend-hosts-allow"}),
    ([("audit/xend/hosts_allow/open_ended", ["^10.0.0.1"])], {}, {"xend-hosts-allow-open-ended"}),
    ([("audit/xend/hosts_allow/names", ["^node1$"])], {}, {"xend-hosts-allow-names"}),
    ([("audit/xend/hosts_allow/broken", ["("])], {}, {"xend-hosts-allow-broken"}),
    ([("audit/xend/repeated", ["xend-relocation-hosts-allow"])], {}, {"xend-repeated-options"}),
    ([("audit/xend/relocation_address", "name")], {}, {"xend-relocation-address"}),
    ([("audit/xend/relocation/configured", ["10.0.0.9:8002"])], {}, {"xend-restarted"}),
    ([("audit/xend/vncpasswd", "empty")], {}, {"xend-vncpasswd"}),
    ([("audit/xend/options/vnc-listen", "0.0.0.0")], {}, {"xend-vnc-listen"}),
    ([("audit/xend/readable_by_all", True)], {}, {"xend-config-private"}),
    ([("audit/consoles/+", CONSOLE)], {}, {"console-vnc"}),
    ([("audit/consoles/+", dict(CONSOLE, kind="spice", listen=""))], {}, {"console-spice"}),
    ([("audit/consoles/+", dict(CONSOLE, password=False))], {}, {"console-vnc", "console-password"}),
    (
        [("perimeter", {})],
        {"kind": "gateway"},
        {c for c in map(lambda one: one["id"], CATALOGUE) if c.startswith("perimeter-")} - {"perimeter-boot"},
    ),
    ([("audit/services", [])], {"kind": "gateway"}, {"perimeter-boot"}),
]


def test_nothing_fails_on_a_hardened_node_and_gateway():
    for name, kind in (("node", "node"), ("gateway", "gateway")):
        facts = recorded(name)
        results = evaluate_controls(facts, CATALOGUE, TODAY, [], site_of(facts, kind=kind))
        assert failing(results) == set()
        assert sum(result["status"] == "pass" for result in results) == (61 if name == "node" else 6)


@pytest.mark.parametrize(
    "changes, site, expected", WEAKNESSES, ids=[f"{n}-{sorted(e)[0]}" for n, (_c, _s, e) in enumerate(WEAKNESSES)]
)
def test_one_weakness_makes_exactly_its_controls_fail(changes, site, expected):
    facts = recorded("gateway" if site.get("kind") == "gateway" else "node")
    given_site = site_of(facts, **{key: value for key, value in site.items() if key != "plan" or value})
    if "plan" in site and site["plan"] is None:
        given_site["plan"] = None
    for path, value in copy.deepcopy(changes):
        put(facts, path, value)
    results = evaluate_controls(facts, CATALOGUE, TODAY, [], given_site)
    assert failing(results) == expected
    for name in expected:
        assert by_id(results)[name]["status"] == "fail"


def test_every_control_has_a_weakness_that_makes_it_fail():
    assert set().union(*(expected for _changes, _site, expected in WEAKNESSES)) == {one["id"] for one in CATALOGUE}


# --- facts that are not there --------------------------------------------------------------------------------


def test_what_could_not_be_read_is_an_error_that_says_why():
    facts = recorded("node")
    facts["audit"]["firewall"] = None
    facts["unread"] = [{"fact": "audit.firewall", "reason": "nft did not answer"}]
    results = by_id(evaluate_controls(facts, CATALOGUE, TODAY, [], site_of(facts)))
    for name in ("firewall-default-ipv4", "firewall-duplicates", "relocation-guarded-ipv6", "firewall-one-owner"):
        assert results[name]["status"] == "error"
        assert results[name]["evidence"] == "audit.firewall was not read: nft did not answer"


def branches(value, path=()):
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from branches(value[key], (*path, key))


BRANCHES = [path for path in branches(recorded("node")) if path and path[0] not in ("unread", "accounts")]


@settings(deadline=None)
@given(st.sampled_from(BRANCHES), st.sampled_from(["take away", "null"]))
def test_a_fact_taken_away_makes_no_control_pass_that_rests_on_it(path, how):
    facts = recorded("node")
    site = site_of(facts)
    inner = facts
    for key in path[:-1]:
        inner = inner[key]
    if how == "null":
        inner[path[-1]] = None
    else:
        del inner[path[-1]]
    for control, result in zip(CATALOGUE, evaluate_controls(facts, CATALOGUE, TODAY, [], site), strict=True):
        rests_on = library.paths(library.compile_expression(control["expression"]).parsed)
        if any(wanted[: len(path)] == path for wanted in rests_on):
            assert result["status"] in ("error", "not_applicable")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from(BRANCHES), JSON)
def test_whatever_a_fact_is_there_is_a_verdict(path, value):
    facts = recorded("node")
    site = site_of(facts)
    inner = facts
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    results = evaluate_controls(facts, CATALOGUE, TODAY, [], site)
    assert [result["id"] for result in results] == [control["id"] for control in CATALOGUE]
    assert {result["status"] for result in results} <= {"pass", "fail", "error", "not_applicable"}


@settings(deadline=None)
@given(JSON)
def test_whatever_the_facts_are_none_of_a_nodes_facts_is_said_to_hold(facts):
    results = evaluate_controls(facts, CATALOGUE, TODAY, [], {"kind": "node"})
    assert not [result for result in results if result["status"] == "pass"]


# --- expressions ---------------------------------------------------------------------------------------------


def control(**more):
    return {
        "id": "site-one",
        "title": "One holds",
        "why": "It should",
        "source": ["policy 1"],
        "severity": "high",
        "expression": "audit.one",
        "expected": True,
        "remedy": "Make it so",
        **more,
    }


def only(*controls):
    """A catalogue of none but these."""
    return library.put_together([], controls, "the test")


@pytest.mark.parametrize(
    "expression, expected, facts, status",
    [
        ("audit.one", True, {"one": True}, "pass"),
        ("audit.one", True, {"one": False}, "fail"),
        # What is not true but looks so.
        ("audit.one", True, {"one": 1}, "fail"),
        ("audit.one", True, {"one": "true"}, "fail"),
        ("audit.one", 0, {"one": False}, "fail"),
        ("audit.one", True, {"one": None}, "error"),
        ("audit.one", False, {}, "error"),
        ("!(audit.one)", True, {}, "error"),
        # JMESPath reads this as (!audit).one, which is nothing.
        ("!audit.one", True, {"one": False}, "error"),
        ("audit.one || audit.two", False, {"two": False}, "error"),
        ("audit.one != 'accept'", True, {}, "error"),
        ("[audit.one, audit.two][]", [], {"one": []}, "error"),
        ("not_null(audit.one, `[]`)", [], {}, "error"),
        ("length(audit.one)", 0, {"one": 5}, "error"),
        ("sort(audit.one)", [], {"one": [1, "a"]}, "error"),
        ("audit.one[?a].b", [], {"one": []}, "pass"),
        ("audit.one[?a].b", [], {"one": "text"}, "error"),
    ],
)
def test_an_expression(expression, expected, facts, status):
    catalogue = only(control(expression=expression, expected=expected))
    assert evaluate_controls({"audit": facts}, catalogue, TODAY)[0]["status"] == status


@pytest.mark.parametrize(
    "applies, facts, status",
    [
        ("audit.xend", {"one": True}, "not_applicable"),
        ("audit.xend", {"one": True, "xend": {}}, "not_applicable"),
        ("audit.xend", {"one": True, "xend": {"a": 1}}, "pass"),
        ("length(audit.xend) > `0`", {"one": True}, "error"),
        ("audit.secret", {"one": True}, "error"),
        ("audit.secret.inner", {"one": True}, "error"),
    ],
)
def test_where_a_control_applies(applies, facts, status):
    unread = [{"fact": "audit.secret", "reason": "no time"}]
    catalogue = only(control(applies=applies))
    assert evaluate_controls({"audit": facts, "unread": unread}, catalogue, TODAY)[0]["status"] == status


def test_evidence_shows_more_and_decides_nothing():
    found = [{"name": "a", "bad": True}]
    one = control(expression="audit.one[?bad].name", expected=[], evidence="audit.one[?bad]")
    assert evaluate_controls({"audit": {"one": found}}, only(one), TODAY)[0]["evidence"] == found
    one["evidence"] = "length(audit.nothing)"
    result = evaluate_controls({"audit": {"one": found}}, only(one), TODAY)[0]
    assert result["status"] == "fail" and result["evidence"]["found"] == ["a"]


# --- what a site writes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        ({"id": "Site One"}, "the id 'Site One': write lower-case letters"),
        ({"id": 5}, "the id 5: write lower-case"),
        ({"remedy": None}, "has remedy None: write a text"),
        ({"severity": "grave"}, "the severity 'grave': write one of critical, high, medium, low"),
        (
            {"expression": "audit.[one"},
            "the expression of the control 'site-one' in dom0_audit_controls is no JMESPath",
        ),
        ({"applies": "a &&"}, "the applies of the control"),
        ({"applies": ""}, "has applies ''"),
        ({"source": "policy"}, "has source 'policy': write a list"),
        ({"expected": None}, "expects null"),
        ({"expresion": "x"}, "'expresion', which no control has: did you mean expression?"),
        ({"id": "services-needed"}, "one of that id already"),
    ],
)
def test_a_control_that_is_not_sound_is_refused(change, message):
    with pytest.raises(AnsibleFilterError, match=re.escape(message)):
        control_catalogue([control(**change)])


@pytest.mark.parametrize("key", library.REQUIRED)
def test_a_control_that_lacks_something_is_refused(key):
    lacking = control()
    del lacking[key]
    with pytest.raises(AnsibleFilterError, match=f"no {key}|id None"):
        control_catalogue([lacking])


def test_two_controls_of_one_id_are_refused_and_what_is_no_list():
    with pytest.raises(AnsibleFilterError, match="'site-one', and there is one of that id"):
        control_catalogue([control(), control()])
    with pytest.raises(AnsibleFilterError, match="write a list of controls"):
        control_catalogue("services")
    with pytest.raises(AnsibleFilterError, match="which is not a control"):
        control_catalogue(["services-needed"])


@pytest.mark.parametrize(
    "waiver, message",
    [
        ({"control": "services-neded"}, "'services-neded', which there is not: did you mean services-needed?"),
        ({"control": "zzz"}, "'zzz', which there is not: see docs/audit.md"),
        ({"reason": ""}, "no reason: say"),
        ({"reason": None}, "no reason: say"),
        ({"expires": None}, "does not expire: give it the last day"),
        ({"expires": "soon"}, "expires 'soon': write a day as in '2030-01-31'"),
        ({"expires": "2026-02-30"}, "expires '2026-02-30'"),
        ({"expires": "20300131"}, "expires '20300131'"),
        ({"until": "2030-01-31"}, "a waiver takes control, reason and expires"),
    ],
)
def test_a_waiver_that_is_not_sound_is_refused(waiver, message):
    given_waiver = {"control": "services-needed", "reason": "moved in May", "expires": "2026-12-31", **waiver}
    with pytest.raises(AnsibleFilterError, match=re.escape(message)):
        evaluate_controls({}, CATALOGUE, TODAY, [given_waiver])


def test_two_waivers_of_a_control_are_refused_and_what_is_no_list():
    one = {"control": "services-needed", "reason": "moved", "expires": "2026-12-31"}
    with pytest.raises(AnsibleFilterError, match="twice"):
        evaluate_controls({}, CATALOGUE, TODAY, [one, one])
    with pytest.raises(AnsibleFilterError, match="write a list of waivers"):
        evaluate_controls({}, CATALOGUE, TODAY, "services-needed")


@pytest.mark.parametrize(
    "expires, status",
    [
        ("2026-06-30", "fail"),
        ("2026-07-01", "waived"),
        (datetime.date(2026, 7, 2), "waived"),
        (datetime.date(2025, 7, 2), "fail"),
    ],
)
def test_a_waiver_counts_until_it_expires(expires, status):
    catalogue = only(control())
    waivers = [{"control": "site-one", "reason": "moved in May", "expires": expires}]
    result = evaluate_controls({"audit": {"one": False}}, catalogue, TODAY, waivers)[0]
    assert result["status"] == status
    assert result["waiver"] == {"reason": "moved in May", "expires": str(expires)}
    # What holds needs no waiver, and what could not be evaluated gets none.
    for value, other in ((True, "pass"), (None, "error")):
        result = evaluate_controls({"audit": {"one": value}}, catalogue, TODAY, waivers)[0]
        assert (result["status"], result["waiver"]) == (other, None)


# --- the table -----------------------------------------------------------------------------------------------


def test_the_summary_has_counts_and_the_gravest_first():
    catalogue = only(
        control(id="low-one", severity="low"), control(id="grave-one", severity="critical"), control(expression="b.c")
    )
    results = evaluate_controls({"audit": {"one": False}}, catalogue, TODAY)
    summary = control_summary(results, catalogue, "high")
    assert summary["counts"] == {"pass": 0, "fail": 2, "error": 1, "waived": 0, "not_applicable": 0}
    heads = [line.split(":")[0] for line in summary["lines"][1:] if not line.startswith(" ")]
    assert heads == ["FAIL critical grave-one", "ERROR high site-one", "FAIL low low-one"]
    assert summary["lines"][3] == "    remedy: Make it so"
    # An error counts like a failure.
    assert summary["grave"] == ["grave-one", "site-one"]
    assert control_summary(results, catalogue, "critical")["grave"] == ["grave-one"]
    assert control_summary(results, catalogue, "low")["grave"] == ["grave-one", "site-one", "low-one"]
    assert control_summary(results, catalogue, "never")["grave"] == []
    with pytest.raises(AnsibleFilterError, match="write one of critical, high, medium, low, or never"):
        control_summary(results, catalogue, "all")


def test_without_jmespath_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jmespath", None)
    # As in a process that has not had it before.
    library.builtin.cache_clear()
    with pytest.raises(AnsibleFilterError, match="library jmespath is needed on the controller"):
        control_catalogue([])
