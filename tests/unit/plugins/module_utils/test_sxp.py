# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import sxp
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

ACCENT = b"\xe9".decode("latin-1")
EURO = b"\xe2\x82\xac".decode("utf-8")

# Text that reads, and what xend's own parser makes of it.
READS = [
    ("", []),
    ("# only a comment", []),
    ("a b\tc\v\fd\r\n", ["a", "b", "c", "d"]),
    ("(a (b c) ())", [["a", ["b", "c"], []]]),
    ("(a b)(c d)e", [["a", "b"], ["c", "d"], "e"]),
    ("(a # (x y)\n b)", [["a", "b"]]),
    ("(a b#c)\n)", [["a", "b"]]),
    ("('a' \"b c\" '')", [["a", "b c", ""]]),
    ("(a 'x\ny')", [["a", "x\ny"]]),
    ("(a 'x # y')", [["a", "x # y"]]),
    ("('a'b\"c\")", [["a", 'b"c"']]),
    ("(a b'c d')", [["a", "b'c", "d'"]]),
    ("(a ^10.0.0.[12]$)", [["a", "^10.0.0.", "[12", "]$"]]),
    ("{}<>[]!;a;b", ["{", "}", "<", ">", "[", "]", "!", ";a", ";b"]),
    ("a!b", ["a", "!b"]),
    ("a\\n", ["a\\n"]),
    ("(a x%s)" % ACCENT, [["a", "x" + ACCENT]]),
    ("(a '%s\x04')" % ACCENT, [["a", ACCENT + "\x04"]]),
    ("# \x04\na", ["a"]),
    (r"'\a\b\t\n\v\f\r'", ["\a\b\t\n\v\f\r"]),
    (r"""'\\\'\"' "\\\'\"" """, ["\\'\"", "\\'\""]),
    (r"'\x41\x2e' '\1018\0\12\377'", ["A$", "A8\0\n" + b"\xff".decode("latin-1")]),
    # xend takes the letters A to F of a hexadecimal escape for 0 to 5.
    (r"'\xaf\xFA\x4A'", ["\x05\x50\x40"]),
    (r"'^10\.0\.0\.5$'", ["^10\\0\\0\\5$"]),
    (r"'\8\q\[1\]'", ["\\\\\\1\\"]),
    ("'\\\n'", ["\\"]),
]


@pytest.mark.parametrize("text,entries", READS)
def test_reads(text, entries):
    assert sxp.loads(text) == entries


# Text that does not read: where, and a word of the remedy.
FAULTS = [
    (")", 1, 1, "missing '('"),
    ("(a)\n  )", 2, 3, "missing '('"),
    ("(a)\n (b\n(c)", 2, 2, "missing ')'"),
    ("(a", 1, 1, "missing ')'"),
    ("(a # b)", 1, 1, "missing ')'"),
    ("(a 'b", 1, 4, "same quote"),
    ("\n'b\\'", 2, 1, "same quote"),
    ("'b\\", 1, 1, "same quote"),
    ("a \x04", 1, 3, "code 4"),
    ("a\x04", 1, 2, "code 4"),
    ("(\x01)", 1, 2, "code 1"),
    ("(a %s)" % ACCENT, 1, 4, "code 233"),
    ("(a\n%s)" % EURO, 2, 1, "code 8364"),
    (r"(a 'b\x4')", 1, 6, "two hexadecimal digits"),
    (r"'\xg0'", 1, 2, "two hexadecimal digits"),
    ("(a 'b\n \\400')", 2, 2, "\\377"),
    ("(" * 101 + ")" * 101, 1, 101, "remove some parentheses"),
]


@pytest.mark.parametrize("text,line,column,remedy", FAULTS)
def test_names_line_column_and_remedy(text, line, column, remedy):
    with pytest.raises(sxp.SxpError) as caught:
        sxp.scan(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert remedy in caught.value.reason
    assert str(caught.value) == "line %d, column %d: %s" % (line, column, caught.value.reason)


def test_spans_cover_nodes_and_comments():
    text = "# one\r\n(a 'b c' # two\n (d))"
    nodes, comments = sxp.scan(text)
    assert [text[node.start : node.end] for node in nodes] == [text[7:]]
    assert [text[node.start : node.end] for node in nodes[0].items] == ["a", "'b c'", "(d)"]
    assert [(text[note.start : note.end], note.depth) for note in comments] == [("# one\r", 0), ("# two", 1)]


WRITES = [
    (True, "yes"),
    (False, "no"),
    (8002, "8002"),
    (-1, "-1"),
    ("vif-bridge_2", "vif-bridge_2"),
    ("", "''"),
    ("10.0.0.1", "'10.0.0.1'"),
    ("a\n", "'a\\n'"),
    ('it\'s \\ "so"', "'it\\'s \\\\ \"so\"'"),
    ("\t\r\0\x0b\x7f1", "'\\t\\r\\000\\013\\1771'"),
    (["xen-api-server", [["unix", "none"], [9363, ""]]], "(xen-api-server ((unix none) (9363 '')))"),
    ([], "()"),
]


@pytest.mark.parametrize("value,text", WRITES)
def test_writes(value, text):
    assert sxp.dumps(value) == text


@pytest.mark.parametrize("value", [None, {"a": 1}, ["a", None], b"".decode, object()])
def test_refuses_to_write(value):
    with pytest.raises(ValueError, match="give text, a number, a boolean or a list"):
        sxp.dumps(value)


def test_refuses_to_write_what_it_would_not_read():
    value = []
    for _level in range(99):
        value = [value]
    assert sxp.loads(sxp.dumps(value)) == [value]
    with pytest.raises(ValueError, match="flatter"):
        sxp.dumps([value])


LOOKUPS = [
    ("(a 1) (a 2)", "1"),
    ("(a) (a 2)", None),
    ("(a 1 2)", "1"),
    ("('a' 1)", "1"),
    ("a (b 1) () ((a) 1)", None),
    ("(a (b c))", ["b", "c"]),
    ("(a (@ (x y)) 1)", "1"),
    ("(a (@ (x y)))", None),
]


@pytest.mark.parametrize("text,value", LOOKUPS)
def test_lookup_is_xends(text, value):
    assert sxp.lookup(sxp.loads(text), "a") == value
    assert sxp.lookup(sxp.loads("(b 1)"), "a", "default") == "default"


EDITS = {
    # What reads the same stays as it is spelled.
    "same bool": ("(a  On)", {"a": True}, None),
    "same bool, false": ("(a 'F')", {"a": False}, None),
    "same int": ("(a 08002 )", {"a": 8002}, None),
    "same int, quoted": ("(a ' +8 ')", {"a": 8}, None),
    "same text": ('("a" "b")', {"a": "b"}, None),
    "same first value": ("(a b c)", {"a": "b"}, None),
    "same list": ("(a ( ( unix 'none' ) ) )", {"a": [["unix", "none"]]}, None),
    "absent already": ("(b 1)#(a 1)\n", {"a": None}, None),
    # A changed value.
    "bool is not text": ("(a On)", {"a": "yes"}, "(a yes)"),
    "bool was other": ("(a off) # b\n", {"a": True}, "(a yes) # b\n"),
    "bool was neither": ("(a 2)", {"a": True}, "(a yes)"),
    "bool was a list": ("(a (yes))", {"a": True}, "(a yes)"),
    "int was other": ("(a  -8 )", {"a": 8}, "(a  8 )"),
    "only the value": ("( a # why\n  b )x", {"a": "c d"}, "( a # why\n  'c d' )x"),
    "no gap before a string": ("('a''b')", {"a": "c"}, "('a' c)"),
    "no gap before a list": ("(a(b))", {"a": True}, "(a yes)"),
    "no gap before a separator": ("(a[b)", {"a": True}, "(a yes)"),
    "list for text": ("(a b)", {"a": [["unix"]]}, "(a ((unix)))"),
    "no value": ("x( a )y", {"a": 1}, "x(a 1)y"),
    "many values": ("x(a b\n c)y", {"a": 1}, "x(a 1)y"),
    "attributes": ("(a (@ (b c)) d)", {"a": "e"}, "(a e)"),
    # Duplicates and removal.
    "duplicates": ("(a 1)\n(b 2)\n  (a 3) \n('a' 4) # c\n", {"a": 1}, "(a 1)\n(b 2)\n# c\n"),
    "duplicates on a line": ("(a 1) (a 2) (a 3)\n", {"a": 4}, "(a 4)\n"),
    "removed with its lines": ("x\r\n(a\r\n 1)\r\ny\r\n", {"a": None}, "x\r\ny\r\n"),
    "removed at the end": ("x\n(a 1)", {"a": None}, "x\n"),
    "removed from a line": ("(b 1) (a 1) (c 1)\n", {"a": None}, "(b 1) (c 1)\n"),
    "removed from its end": ("(b 1) (a 1)\r\n", {"a": None}, "(b 1)\r\n"),
    "removed from its start": (" (a 1) (b 1)\n", {"a": None}, " (b 1)\n"),
    "removed between atoms": ("x(a 1)y", {"a": None}, "x y"),
    "removed, comment stays": ("x\n (a 1)  # c\ny", {"a": None}, "x\n # c\ny"),
    "removed, comment stays after others": ("(b)(a 1)# c\n", {"a": None}, "(b) # c\n"),
    "others of the name stay": ("a (b (a 1)) ((a) 1) ()\n", {"a": None}, None),
    # A new entry.
    "empty file": ("", {"a": 1}, "(a 1)\n"),
    "at the end": ("(b 1)\n", {"a": "x y"}, "(b 1)\n(a 'x y')\n"),
    "at the end, no newline": ("(b 1)\r\n# c", {"a": 1}, "(b 1)\r\n# c\r\n(a 1)\r\n"),
    "in order": ("", {"b": 1, "a": 2, "c": None}, "(a 2)\n(b 1)\n"),
    "after its default": ("#(a 2)\n\n(b 1)\n", {"a": 1}, "#(a 2)\n(a 1)\n\n(b 1)\n"),
    "after its last default": (
        "#(a 2)\n# (a 3)\n ##  ( 'a' 4)\n#(ab 5)\nx",
        {"a": 1},
        "#(a 2)\n# (a 3)\n ##  ( 'a' 4)\n(a 1)\n#(ab 5)\nx",
    ),
    "default with no value": ("#(a)\n#(a\n", {"a": 1}, "#(a)\n#(a\n(a 1)\n"),
    "default without newline": ("x\r\n#(a 2)", {"a": 1}, "x\r\n#(a 2)\r\n(a 1)\r\n"),
    "default, other line ends": ("x\n#(a 2)\r\ny\n", {"a": 1}, "x\n#(a 2)\r\n(a 1)\r\ny\n"),
    "default of many lines": ("#(a ((b)\n#    (c)))\n# d\n", {"a": 1}, "#(a ((b)\n#    (c)))\n(a 1)\n# d\n"),
    "default never closed": ("#(a (b)\n# c\n\n# d)\n", {"a": 1}, "#(a (b)\n# c\n(a 1)\n\n# d)\n"),
    "default behind an entry": ("(b 1) #(a 2)\nx\n", {"a": 1}, "(b 1) #(a 2)\nx\n(a 1)\n"),
    "default within a list": ("(b\n#(a 2)\n)\n", {"a": 1}, "(b\n#(a 2)\n)\n(a 1)\n"),
    "default within a string": ("(b '\n#(a 2)\n')\n", {"a": 1}, "(b '\n#(a 2)\n')\n(a 1)\n"),
    "default in a sentence": ("# as in (a 2)\nx\n", {"a": 1}, "# as in (a 2)\nx\n(a 1)\n"),
    "default of a name it begins": ("#(a-b 2)\nx\n", {"a": 1}, "#(a-b 2)\nx\n(a 1)\n"),
}


@pytest.mark.parametrize("case", sorted(EDITS))
def test_edit(case):
    text, options, expected = EDITS[case]
    expected = text if expected is None else expected
    assert sxp.edit(text, options) == expected
    assert sxp.edit(expected, options) == expected


def test_edit_refuses_a_list_that_xend_takes_for_attributes():
    with pytest.raises(ValueError, match=r"a: .*attributes"):
        sxp.edit("", {"a": ["@", "b"]})


BYTES = st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=255), max_size=12)
NESTED = st.recursive(BYTES | st.integers() | st.booleans(), lambda inner: st.lists(inner, max_size=3), max_leaves=6)
VALUES = (NESTED | st.none()).filter(lambda value: not isinstance(value, list) or value[:1] != ["@"])
NAMES = st.sampled_from(["a", "b", "ab", "xend-port"])
BLANK = st.sampled_from(["", " ", "\t ", "\n", "\r\n", "\n\n", " \n  "])
WORD = st.sampled_from(["1", "yes", "On", "'x y'", '"\\x41"', "'\n#(a 1)\n'", "(b (a 1))", "( )", "[x", "# (a 1)\n"])


@st.composite
def pieces(draw):
    """An entry, atom or comment of a file; text that reads by itself."""
    name = draw(NAMES)
    kind = draw(st.sampled_from(["entry", "entry", "default", "open default", "comment", "atom", "string"]))
    if kind == "entry":
        quote = draw(st.sampled_from(["", "'", '"']))
        words = draw(st.lists(st.tuples(st.sampled_from([" ", "\n\t", "\r\n", " #c\n"]), WORD), max_size=3))
        return "(" + draw(BLANK) + quote + name + quote + "".join(gap + word for gap, word in words) + ")"
    return {
        "default": "#(%s 1)\n" % name,
        "open default": "# (%s (1\n#   2))\n" % name,
        "comment": "# it's (\r\n",
        "atom": "x'y",
        "string": " '(a 1)\n#(b 1)'",
    }[kind]


@st.composite
def files(draw):
    parts = draw(st.lists(st.tuples(pieces(), BLANK), max_size=8))
    text = draw(BLANK) + "".join(piece + blank for piece, blank in parts)
    return text + draw(st.sampled_from(["", "# the end", "#(a 1)"]))


def names_of(entry):
    return entry[0] if isinstance(entry, list) and entry else None


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files(), st.dictionaries(NAMES, VALUES, max_size=3))
@example("x(a 1)y", {"a": None})
@example("#(a 1)", {"a": 1})
def test_edited_files_read_as_wanted_and_are_otherwise_untouched(text, options):
    edited = sxp.edit(text, options)
    entries = sxp.loads(edited)
    for name, value in options.items():
        found = [entry for entry in entries if names_of(entry) == name]
        assert len(found) == (0 if value is None else 1)
        assert sxp.reads_as(sxp.lookup(entries, name), value)
        if isinstance(value, (list, type(ACCENT))):
            assert sxp.lookup(entries, name) == sxp.loads(sxp.dumps(value))[0]
    assert [entry for entry in entries if names_of(entry) not in options] == [
        entry for entry in sxp.loads(text) if names_of(entry) not in options
    ]
    assert sxp.edit(edited, options) == edited


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files(), NAMES, VALUES)
def test_every_comment_and_other_entry_stays_byte_for_byte(text, name, value):
    def others(given_text):
        nodes, comments = sxp.scan(given_text)
        kept = [given_text[note.start : note.end].rstrip("\r") for note in comments if note.depth == 0]
        return kept, [given_text[node.start : node.end] for node in nodes if names_of(node.value) != name]

    assert others(sxp.edit(text, {name: value})) == others(text)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files(), st.dictionaries(NAMES, VALUES.filter(lambda value: value is not None), max_size=3))
def test_new_entries_are_whole_new_lines(text, options):
    present = [names_of(entry) for entry in sxp.loads(text)]
    options = dict((name, value) for name, value in options.items() if name not in present)
    edited = sxp.edit(text, options)
    for name in options:
        line = re.escape(sxp.dumps([name, options[name]]))
        edited, count = re.subn(r"(\A|\n)%s\r?\n" % line, lambda match: match.group(1), edited, count=1)
        assert count == 1
    assert edited.rstrip("\r\n") == text.rstrip("\r\n")


STRINGS = st.recursive(st.text(max_size=8), lambda inner: st.lists(inner, max_size=4), max_leaves=12)


@settings(max_examples=300, deadline=None)
@given(st.lists(STRINGS, max_size=5))
def test_written_entries_read_back_one_a_line(entries):
    text = sxp.dump_entries(entries)
    assert sxp.loads(text) == entries
    assert text.count("\n") == len(entries)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="()'\"\\#ax7\n [\x04", max_size=30))
def test_any_text_reads_or_is_refused_with_a_place_in_it(text):
    try:
        nodes, _comments = sxp.scan(text)
    except sxp.SxpError as error:
        line = text.split("\n")[error.line - 1]
        assert 1 <= error.column <= len(line)
    else:
        assert sxp.loads(sxp.dump_entries([node.value for node in nodes])) == [node.value for node in nodes]
