# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import audit_sample as sample
import pytest
from ansible_collections.xensec.hardening.plugins.filter.audit_page import FilterModule
from ansible_collections.xensec.hardening.plugins.plugin_utils import audit_map
from ansible_collections.xensec.hardening.plugins.plugin_utils import audit_page as utils
from hypothesis import given, settings
from hypothesis import strategies as st

audit_page = FilterModule().filters()["audit_page"]
VOID = {"meta", "br", "input", "link", "img"}


class Page(HTMLParser):
    """The elements of a page, their attributes and texts; ill-nested ones are an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """What a host must have no say in: the elements, and which attributes they have."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]

    def text(self) -> str:
        return " ".join(" ".join(data for tag, data in self.texts if tag not in ("style", "script")).split())

    def ids(self) -> set[str | None]:
        return {attributes["id"] for _tag, attributes in self.elements if "id" in attributes}

    def cells(self) -> Counter[str]:
        kinds = {"pass", "fail", "error", "waived", "not_applicable", "unreachable", "not_asked"}
        return Counter(attributes.get("class") or "" for tag, attributes in self.elements if tag == "td" and
                       attributes.get("class") in kinds)  # fmt: skip


def drawn(report: dict[str, Any]) -> Page:
    return Page(audit_page(report))


def test_the_page_has_it_all() -> None:
    report = sample.troubled()
    page = drawn(report)
    text = page.text()
    assert {"glance", "grid", "reach", "map", "findings", "waivers", "drift", "holding", "lost"} <= page.ids()
    assert page.cells() == Counter(
        {name: number for name, number in report["summary"]["status"].items() if number}
        | {"unreachable": len(report["controls"])}
    )
    findings = [attributes for tag, attributes in page.elements if "finding" in (attributes.get("class") or "").split()]
    failed = {result["id"] for host in report["hosts"] for result in host["results"]} & {
        result["id"] for host in report["hosts"] for result in host["results"] if result["status"] in ("fail", "error")
    }
    assert len(findings) == len(failed) == 18
    for control in report["controls"]:
        assert control["why"] in text and control["title"] in text
        assert (control["remedy"] in text) or control["id"] not in failed
    assert "node4 (node): it could not be reached or read. Nothing is known of it." in text
    assert "The rescue team needs it until the move." in text
    assert "Since 18 November 2026, 06:30 UTC:" in text
    assert "outsider 192.0.2.250 node1 192.0.2.1 8002" in text


def test_everything_linked_to_is_there_once() -> None:
    page = drawn(sample.troubled())
    ids = [attributes["id"] for _tag, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {(attributes["href"] or "") for tag, attributes in page.elements if tag == "a"}
    assert {link[1:] for link in links} <= set(ids)
    markers = set(re.findall(r"url\(#(\w+)\)", audit_page(sample.troubled())))
    assert markers <= set(ids)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = audit_page(sample.troubled())
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "image", "use")
        assert not {"src", "srcset", "style", "background", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    style, script = re.findall(r"<style>(.*?)</style>|<script>(.*?)</script>", text, re.DOTALL)
    assert not re.search(r"@import|url\(|https?:", style[0])
    assert not re.search(r"https?:|innerHTML|eval|fetch|XMLHttp", script[1])
    (policy,) = [
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]

    def digest(part: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() + "'"

    assert policy == (
        f"default-src 'none'; style-src {digest(style[0])}; script-src {digest(script[1])}; "
        "base-uri 'none'; form-action 'none'"
    )


NOBODY: dict[str, Any] = {"hosts": [], "nodes": [], "gateways": [], "probes": []}
HEADLINES = [
    # (cluster, headline, level)
    (sample.report(sample.cluster(2)), "Every control holds", "good"),
    (sample.troubled(), "18 of 46 controls do not hold", "bad"),
    (sample.report({"node1": {}}), "No finding, but of 1 host nothing is known", "fair"),
    (sample.report({"node1": {}}, hosts=[]), "No finding, but of 1 host nothing is known", "fair"),
    (sample.report({}, **NOBODY), "Nothing was evaluated", "fair"),
]


@pytest.mark.parametrize(("report", "headline", "level"), HEADLINES)
def test_the_headline_is_never_better_than_what_is_known(report: dict[str, Any], headline: str, level: str) -> None:
    page = drawn(report)
    assert [data for tag, data in page.texts if tag == "h1"] == [headline]
    assert [attributes["class"] for tag, attributes in page.elements if tag == "header"] == [f"top {level}"]


def test_an_open_path_is_bad_though_every_control_holds() -> None:
    hosts = sample.cluster(2)
    sample.answer(hosts, "outsider", "192.0.2.1", 8002, "open")
    text = drawn(sample.report(hosts)).text()
    assert "1 relocation path is not as planned" in text
    assert 'class="top bad"' in audit_page(sample.report(hosts))


HOSTILE = [
    "<script>alert(1)</script>",
    "</pre></details><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'--><!--",
    "</title><script>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\x00\x1b[31m\ud800",
]


def poisoned(text: str) -> dict[str, Any]:
    """A report in which hosts say this wherever they can say anything, and the inventory as well."""
    hosts = sample.cluster(2)
    results = hosts["node1"]["dom0_audit_results"]
    results[0].update(status="fail", evidence=[text, {text: text}], expected=text)
    results[1].update(status="error", evidence=text)
    results[2].update(status="waived", waiver={"reason": text, "expires": text})
    hosts["node1"]["xend_relocation_info"]["toolstack"]["detected"] = text
    interfaces = hosts["node1"]["xend_relocation_info"]["interfaces"]
    interfaces[text] = interfaces.pop("front0")
    hosts[f"node-{text}"] = {}
    report = sample.report(hosts)
    previous = {
        **sample.report(sample.cluster(2)),
        "generated": text,
        "controls": [{"id": text}],
    }
    previous["hosts"][1]["state"] = text
    previous["hosts"][0]["results"][5]["status"] = text
    return sample.report(hosts, previous=previous, catalogue=[
        {**control, "why": text, "remedy": text, "title": text, "source": [text]} for control in report["controls"]
    ])  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_host_says_is_text_and_nothing_else(text: str) -> None:
    assert drawn(poisoned(text)).shape() == drawn(poisoned("harmless")).shape()


@given(st.text(st.characters(codec=None), min_size=1))
@settings(deadline=None, max_examples=30)
def test_whatever_a_host_says_is_text_and_nothing_else(text: str) -> None:
    assert drawn(poisoned(text)).shape() == PLAIN_SHAPE


PLAIN_SHAPE = drawn(poisoned("harmless")).shape()


def test_what_cannot_be_seen_is_written_out() -> None:
    text = audit_page(poisoned("a\u202eb\x00c\rd"))
    assert "a\\u202eb\\u0000c\\u000dd" in text
    assert not {"\u202e", "\x00", "\r"} & set(text)


def test_long_evidence_is_cut_and_says_so() -> None:
    hosts = sample.cluster(1)
    hosts["node1"]["dom0_audit_results"][0].update(status="fail", evidence=["x" * 100] * 1000)
    text = audit_page(sample.report(hosts))
    assert "all of it is in report.json" in text
    assert len(text) < 120_000


def test_many_nodes_are_drawn_in_groups_with_the_same_numbers() -> None:
    hosts = sample.cluster(30, 20)
    sample.answer(hosts, "outsider", "192.0.2.1", 8002, "open")
    report = sample.report(hosts)
    drawing = audit_map.draw_map(report)
    assert drawing["groups"]
    assert [column["name"] for column in drawing["columns"]] == ["30 nodes", "1 machine that only tries to get in"]
    counted: Counter[str] = Counter()
    for band in drawing["bands"]:
        for cell in band["cells"]:
            counted.update({part["kind"]: part["number"] for part in cell["parts"]})
            assert sum(part["width"] for part in cell["parts"]) == pytest.approx(cell["width"])
    assert counted == {"open": 870, "refused": 4529, "unplanned_open": 1}
    page = drawn(report)
    assert "grid dense" in [attributes.get("class") for tag, attributes in page.elements if tag == "table"]
    # Thirty nodes with the same finding are said to have it once.
    assert "and " in page.text() and sum(page.cells().values()) == 31 * 46


def test_every_pair_of_machines_has_its_lines_on_the_map() -> None:
    report = sample.troubled()
    drawing = audit_map.draw_map(report)
    assert not drawing["groups"]
    assert [band["networks"] for band in drawing["bands"]] == [["192.0.2.0/24", "2001:db8::/64"], ["198.51.100.0/24"]]
    front, management = drawing["bands"]
    assert Counter(arc["kind"] for arc in front["arcs"]) == {"refused": 8, "unplanned_open": 1}
    assert Counter(arc["kind"] for arc in management["arcs"]) == {"open": 5, "unplanned_refused": 1, "refused": 3}
    # The worst is drawn last, over the others.
    assert front["arcs"][-1]["kind"] == "unplanned_open"
    assert [chip["host"] for chip in management["chips"] if chip["home"]] == ["node1", "node2", "node3"]
    assert [chip["host"] for chip in management["chips"] if chip["away"]] == ["outsider"]
    assert [machine["lost"] for machine in drawing["machines"]] == [False, False, False, True, False]
    for band in drawing["bands"]:
        for arc in band["arcs"]:
            assert band["y"] < arc["y"] < band["y"] + band["height"]
            assert drawing["gutter"] < arc["x"] < drawing["width"]


def test_many_networks_are_drawn_as_one_but_for_those_that_are_not_as_planned() -> None:
    hosts = sample.cluster(20)
    for number in range(1, 21):
        interfaces = hosts[f"node{number}"]["xend_relocation_info"]["interfaces"]
        address = f"10.0.{number}.1"
        interfaces["own0"] = {"ipv4": [{"address": address, "prefix": 24}], "ipv6": []}
        for name, variables in hosts.items():
            for port in (8002, 8003) if name != f"node{number}" and "dom0_audit_probe" in variables else ():
                state = "open" if (name, number, port) == ("outsider", 19, 8002) else "rejected"
                found = {"name": f"node{number}", "address": address, "port": port, "source": "192.0.2.250"}
                variables["dom0_audit_probe"]["results"].append({**found, "state": state})
    drawing = audit_map.draw_map(sample.report(hosts))
    networks = [band["networks"] for band in drawing["bands"]]
    assert len(networks) == audit_map.MOST_NETWORKS + 1
    assert ["10.0.19.0/24"] in networks and networks[-1] == ["10 more networks"]


def test_nothing_tried_is_said() -> None:
    text = drawn(sample.report({"node1": {}})).text()
    assert "No relocation port was tried." in text
    assert "This is the first report: there is none to compare with." in text


def test_a_waiver_that_runs_out_is_pointed_at() -> None:
    hosts = sample.cluster(1)
    hosts["node1"]["dom0_audit_results"][0].update(status="waived", waiver={"reason": "known", "expires": "2026-12-20"})
    assert "2026-12-20 · soon" in drawn(sample.report(hosts)).text()
    hosts["node1"]["dom0_audit_results"][0]["waiver"]["expires"] = "2026-12-21"
    assert "soon" not in drawn(sample.report(hosts)).text()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("", '""'),
        ("  ", '"  "'),
        ([], "[]"),
        (["a", "", 3], 'a\n""\n3'),
        ({"b": 1, "a": "ä"}, '{"a": "ä", "b": 1}'),
        ([{"b": "x" * 90}], '{"b": "' + "x" * 90 + '"}'),
    ],
)
def test_evidence_as_it_is_shown(value: Any, text: str) -> None:
    assert utils.shown(value) == text
