# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import jinja2
import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter import from_sxp, to_sxp
from hypothesis import given
from hypothesis import strategies as st

NESTED = st.recursive(st.text(), lambda inner: st.lists(inner, max_size=4), max_leaves=12)


@given(st.lists(NESTED, max_size=5))
def test_exact_inverses(entries):
    text = to_sxp.to_sxp(entries)
    assert from_sxp.from_sxp(text) == entries
    assert text.count("\n") == len(entries)


@pytest.mark.parametrize(
    ("entries", "text", "read"),
    [
        ([], "", []),
        (
            [["xend-relocation-server", True], ["xend-port", 8000]],
            "(xend-relocation-server yes)\n(xend-port 8000)\n",
            [["xend-relocation-server", "yes"], ["xend-port", "8000"]],
        ),
        (("a", ("b", False)), "a\n(b no)\n", ["a", ["b", "no"]]),
        ([["a", "^10\\.0\\.0\\.5$"]], "(a '^10\\\\.0\\\\.0\\\\.5$')\n", [["a", "^10\\.0\\.0\\.5$"]]),
        ([["a", "é\u2028€"]], "(a 'é\u2028€')\n", [["a", "é\u2028€"]]),
    ],
)
def test_writes_and_reads(entries, text, read):
    assert to_sxp.to_sxp(entries) == text
    assert from_sxp.from_sxp(text) == read


@pytest.mark.parametrize("value", [None, 5, b"(a)", ["(a)"]])
def test_from_sxp_wants_text(value):
    with pytest.raises(AnsibleFilterError, match=r"from_sxp: .*give the text"):
        from_sxp.from_sxp(value)


def test_from_sxp_says_where_the_fault_is():
    with pytest.raises(AnsibleFilterError, match=r"from_sxp: line 2, column 3: .*quote"):
        from_sxp.from_sxp("(a\n  'b)")


@pytest.mark.parametrize("value", [None, "(a)", {"a": 1}, 5])
def test_to_sxp_wants_a_list(value):
    with pytest.raises(AnsibleFilterError, match=r"to_sxp: .*give a list of entries"):
        to_sxp.to_sxp(value)


@pytest.mark.parametrize("value", [None, {"a": 1}])
def test_to_sxp_names_what_it_cannot_write(value):
    with pytest.raises(AnsibleFilterError, match=r"to_sxp: (None|\{'a': 1\}) .*give text, a number"):
        to_sxp.to_sxp([["a", [value]]])


@pytest.mark.parametrize(("plugin", "name"), [(from_sxp, "from_sxp"), (to_sxp, "to_sxp")])
def test_plugins_and_their_documented_examples(plugin, name):
    filters = {**from_sxp.FilterModule().filters(), **to_sxp.FilterModule().filters()}
    assert list(plugin.FilterModule().filters()) == [name]
    assert yaml.safe_load(plugin.DOCUMENTATION)["name"] == name
    environment = jinja2.Environment()
    environment.filters.update({f"xensec.hardening.{each}": filters[each] for each in filters})
    environment.tests["eq"] = lambda value, other: value == other
    (task,) = yaml.safe_load(plugin.EXAMPLES)
    shown = environment.from_string(task["ansible.builtin.debug"]["msg"]).render(**task.get("vars", {}))
    expected = {"from_sxp": "8002", "to_sxp": "(xend-relocation-hosts-allow '^192\\\\.0\\\\.2\\\\.12$')"}
    assert shown.strip() == expected[name]
