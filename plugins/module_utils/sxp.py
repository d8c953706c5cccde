# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The S-expressions of xend's configuration: read as xend reads them, written, and edited in place.

The reading rules are those of xend's own parser, tools/python/xen/xend/sxp.py up to Xen 4.4, its oddities
included, because what matters is what xend makes of the file. Text is unicode text. For a file decode its
bytes as latin-1, so that each character is one byte, as xend sees it.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import numbers
import re

SPACE = " \t\n\v\f\r"
YES = ("yes", "y", "1", "on", "true", "t")
NO = ("no", "n", "0", "off", "false", "f")
# xend has no limit; this one turns a runaway file into an error instead of an exhausted stack.
MAX_DEPTH = 100

# A value (text or nested lists of text), its span in the text, and a list's own nodes (None for text).
Node = collections.namedtuple("Node", "value start end items")
# The span of a comment, from the # to before the line feed, and how many lists it is in.
Comment = collections.namedtuple("Comment", "start end depth")

_TEXT = (str, type(b"".decode("ascii")))
_TOKEN = re.compile(
    r"""(?P<space>[ \t\n\v\f\r]+)
    | (?P<comment>\#[^\n]*)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<string>'[^'\\]*(?:\\.[^'\\]*)*' | "[^"\\]*(?:\\.[^"\\]*)*")
    | (?P<unclosed>['"])
    | (?P<atom>[!-~][^{}()<>\[\]!;\# \t\n\v\f\r\x04]*)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_ESCAPES.update({"\\": "\\", "'": "'", '"': '"'})
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_QUOTED = re.compile(r"[\\'\x00-\x1f\x7f]")
_WRITTEN = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "'": "\\'"}
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*([0-9]+)[ \t\n\v\f\r]*\Z")


class SxpError(ValueError):
    """The text is not what xend can read.

    Attributes: C(line) and C(column), both from 1; C(reason), what is wrong and how to mend it. It quotes
    nothing of the text, which may hold a password.
    """

    def __init__(self, text, position, reason):
        self.line = text.count("\n", 0, position) + 1
        self.column = position - text.rfind("\n", 0, position)
        self.reason = reason
        ValueError.__init__(self, "line %d, column %d: %s" % (self.line, self.column, reason))


def _character(code):
    return bytearray([code]).decode("latin-1")


def _unescape(text, start, end):
    """Return what the string text[start:end], quotes included, stands for."""

    def meaning(match):
        escape = match.group(1)
        position = start + 1 + match.start()
        if escape in _ESCAPES:
            return _ESCAPES[escape]
        if escape == "x":
            raise SxpError(text, position, "\\x needs two hexadecimal digits; write a backslash as \\\\")
        if escape[0] == "x":
            # xend counts from the letter, not from ten: it reads \xab as \x01.
            high, low = ["0123456789ABCDEF".index(digit.upper()) for digit in escape[1:]]
            return _character(16 * (high % 10) + low % 10)
        if escape[0] in "01234567":
            if int(escape, 8) > 255:
                raise SxpError(text, position, "octal escape above \\377; write a backslash as \\\\")
            return _character(int(escape, 8))
        # xend keeps the backslash of an escape it does not know, and loses the character.
        return "\\"

    return _ESCAPE.sub(meaning, text[start + 1 : end - 1])


def scan(text):
    """Return the top-level nodes of text and all its comments, each in the order of the text.

    :raises SxpError: xend could not read the text, or would read only a part of it.
    """
    nodes, comments, opened = [], [], []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            # At code 4, control-D, xend stops reading without a word.
            problem = "xend does not read on at character code %d; remove or quote it" % ord(text[position])
            raise SxpError(text, position, problem)
        kind, end = match.lastgroup, match.end()
        siblings = opened[-1][1] if opened else nodes
        if kind == "comment":
            comments.append(Comment(position, end, len(opened)))
        elif kind == "open":
            opened.append((position, []))
            if len(opened) > MAX_DEPTH:
                raise SxpError(text, position, "lists more than %d deep; remove some parentheses" % MAX_DEPTH)
        elif kind == "close":
            if not opened:
                raise SxpError(text, position, "')' closes nothing; remove it or add the missing '('")
            start, items = opened.pop()
            siblings = opened[-1][1] if opened else nodes
            siblings.append(Node([item.value for item in items], start, end, items))
        elif kind == "string":
            siblings.append(Node(_unescape(text, position, end), position, end, None))
        elif kind == "atom":
            siblings.append(Node(match.group(), position, end, None))
        elif kind == "unclosed":
            raise SxpError(text, position, "the string begun here has no end; close it with the same quote")
        position = end
    if opened:
        raise SxpError(text, opened[-1][0], "the list begun here has no end; add the missing ')'")
    return nodes, comments


def loads(text):
    """Return the entries of text: nested lists of text.

    :raises SxpError: as for scan.
    """
    return [node.value for node in scan(text)[0]]


def _escape(match):
    character = match.group()
    return _WRITTEN.get(character, "\\%03o" % ord(character))


def dumps(value, depth=0):
    """Return value, a text, number, boolean or nested list of them, as an S-expression on one line.

    :raises ValueError: the value is of another kind, or nested too deep.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (numbers.Integral, float)):
        return str(value)
    if isinstance(value, _TEXT):
        if _BARE.match(value):
            return value
        return "'%s'" % _QUOTED.sub(_escape, value)
    if not isinstance(value, (list, tuple)):
        raise ValueError("%r (%s): give text, a number, a boolean or a list" % (value, type(value).__name__))
    if depth >= MAX_DEPTH:
        raise ValueError("lists more than %d deep; give a flatter one" % MAX_DEPTH)
    return "(" + " ".join([dumps(item, depth + 1) for item in value]) + ")"


def dump_entries(entries):
    """Return the entries as text that loads() reads back, one entry a line. Errors: as for dumps."""
    return "".join([dumps(entry) + "\n" for entry in entries])


def lookup(entries, key, default=None):
    """Return the value xend reads for key: the first child of the first entry of that name, else default."""
    for entry in entries:
        if isinstance(entry, list) and entry and entry[0] == key:
            children = entry[1:]
            # A first child (@ ...) holds attributes, which xend's configuration has no use for.
            if children and isinstance(children[0], list) and children[0][:1] == ["@"]:
                children = children[1:]
            return children[0] if children else default
    return default


def _plain(value):
    """Return value as loads() would give it."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, _TEXT) else dumps(value)


def reads_as(current, wanted):
    """Return whether xend makes the same of current (as lookup returns it) as of wanted, whose type counts:
    booleans by xend's words for them, integers as numbers, text and lists exactly, None is no value."""
    if wanted is None or current is None:
        return wanted is current
    if isinstance(current, _TEXT):
        if isinstance(wanted, bool):
            return current.lower() in (YES if wanted else NO)
        number = _INTEGER.match(current)
        if isinstance(wanted, numbers.Integral) and number:
            return number.group(1).replace("+", "") + number.group(2) == str(wanted)
    return current == _plain(wanted)


def _without(text, entry):
    """Return text without the entry, and without its lines where nothing else is on them."""
    first = text.rfind("\n", 0, entry.start) + 1
    last = text.find("\n", entry.end)
    last = len(text) if last < 0 else last
    before, after = text[first : entry.start], text[entry.end : last]
    start, end = entry.start, entry.end
    blanks = len(after) - len(after.lstrip(" \t"))
    gap = ""
    if not before.strip(SPACE) and not after.strip(SPACE):
        start, end = first, last + 1
    elif not after.strip(SPACE):
        start = first + len(before.rstrip(" \t"))
    elif not before or before[-1] in SPACE:
        end += blanks
    elif not blanks:
        gap = " "
    return text[:start] + gap + text[end:]


def _default_end(text, comments, name):
    """Return where the last commented default of name ends, or None: the end of a comment's last line."""
    wanted = re.compile(r"#+[ \t]*\([ \t]*(['\"]?)%s\1(?=[ \t\r)]|$)" % re.escape(name))
    lines = []
    for comment in comments:
        before = text[text.rfind("\n", 0, comment.start) + 1 : comment.start]
        if comment.depth == 0 and not before.strip(SPACE):
            lines.append(comment)
    for index in range(len(lines) - 1, -1, -1):
        if not wanted.match(text[lines[index].start : lines[index].end]):
            continue
        depth = 0
        end = lines[index].end
        for line in lines[index:]:
            between = text[end : line.start]
            if between.strip(SPACE) or between.count("\n") > 1:
                break
            end = line.end
            depth += text.count("(", line.start, end) - text.count(")", line.start, end)
            if depth <= 0:
                break
        return end
    return None


def _with_line(text, position, line):
    """Return text with line on a line of its own after the one that ends at position."""
    before, after = text[: position + 1], text[position + 1 :]
    newline = before.rfind("\n")
    newline = text.find("\n") if newline < 0 else newline
    ending = "\r\n" if newline > 0 and text[newline - 1] == "\r" else "\n"
    if before and not before.endswith("\n"):
        before += ending
    return before + line + ending + after


def _edit_one(text, name, value):
    """Return text with the one option changed; see edit."""
    while True:
        nodes, comments = scan(text)
        entries = [node for node in nodes if node.items and node.items[0].value == name]
        if len(entries) <= (0 if value is None else 1):
            break
        text = _without(text, entries[-1])
    if value is None:
        return text
    if not entries:
        position = _default_end(text, comments, name)
        line = dumps([name, value])
        return _with_line(text, len(text) if position is None else position, line)
    entry = entries[0]
    if reads_as(lookup([entry.value], name), value):
        return text
    if len(entry.items) == 2:
        start, end = entry.items[1].start, entry.items[1].end
        written = dumps(value) if text[start - 1] in SPACE else " " + dumps(value)
    else:
        start, end, written = entry.start, entry.end, dumps([name, value])
    return text[:start] + written + text[end:]


def edit(text, options):
    """Return text changed as little as it takes for xend to read the options (name to value) as given.

    None means no entry. What already reads the same stays as spelled, further entries of a name go, a new
    entry follows the last commented default of its name, else it comes last. All else stays as it is.

    :raises SxpError: as for scan.
    :raises ValueError: a value cannot be written, as for dumps, or is a list that begins with C(@).
    """
    for name in sorted(options):
        value = options[name]
        if isinstance(value, (list, tuple)) and list(value[:1]) == ["@"]:
            raise ValueError("%s: xend takes a list that begins with '@' for attributes; give another" % name)
        text = _edit_one(text, name, value)
    return text
