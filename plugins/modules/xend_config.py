#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: xend_config
short_description: Set options in xend's configuration file
version_added: "0.1.0"
description:
  - Sets and removes options in C(xend-config.sxp), the configuration of xend (Xen 3.0 to 4.4), and restarts
    xend so that they take effect. Guests keep running.
  - The file is read as xend reads it. What is not named in O(options), comments and spacing included, stays
    byte for byte as it is; an option that already reads as wanted stays as it is spelled.
  - Before the first change the file is recorded below C(/var/lib/xensec), so that it can be put back.
author:
  - xensec.hardening maintainers (@xensec)
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: >-
      Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff
      mode.
    support: full
  platform:
    description: Target OS that can be operated against.
    platforms: posix
    support: full
extends_documentation_fragment:
  - xensec.hardening.undo
options:
  state:
    description:
      - V(present) sets the options.
      - V(restored) puts the file back as it was before the first change, and restarts xend as O(restart) says.
    type: str
    choices: [present, restored]
    default: present
  path:
    description:
      - The configuration file. It must exist.
      - If it is a symbolic link, the file it leads to is changed.
    type: path
    default: /etc/xen/xend-config.sxp
  options:
    description:
      - What xend is to read, by option name. Names consist of lower case letters, digits, C(-) and C(_).
      - Values are strings, integers, booleans (written as V(yes) or V(no)) or lists of these, which may be
        nested as in the example for C(xen-api-server).
      - V(null) removes the option, so that xend's own default holds.
      - Strings are given as xend is to read them; the module quotes and escapes them.
      - Needed for O(state=present).
    type: dict
  backup:
    description: Whether to keep a copy of the file, with a time stamp in its name, before it is changed.
    type: bool
    default: false
  restart:
    description:
      - When to restart xend. It is only ever restarted if it runs.
      - With V(changed), if the file was changed, by this run or by one that was interrupted, or whose restart
        failed, before xend was back.
      - With V(always), on every run, which then reports a change.
      - With V(never), not at all; xend goes on with the old options until someone restarts it. A reload is
        not enough for its listeners.
    type: str
    choices:
      - never
      - changed
      - always
    default: changed
  service:
    description: The name of xend's service.
    type: str
    default: xend
notes:
  - The value of C(vncpasswd) is masked in everything the module returns, but Ansible writes the arguments of
    every module to the host's system log. Set C(no_log) on a task that sets it.
"""

EXAMPLES = r"""
- name: Admit two peers to the relocation server, on the management address
  xensec.hardening.xend_config:
    options:
      xend-relocation-server: true
      xend-relocation-port: 8002
      xend-relocation-address: 192.0.2.11
      xend-relocation-hosts-allow: '^192\.0\.2\.12$ ^192\.0\.2\.13$'

- name: Turn relocation off, serve the Xen API on a socket only, and leave the SSL port to xend
  xensec.hardening.xend_config:
    options:
      xend-relocation-server: false
      xen-api-server:
        - [unix, none]
      xend-relocation-ssl-port: null
    backup: true
"""

RETURN = r"""
before:
  description: >-
    What xend read for each of the options given before the run; null for no value, a mask for C(vncpasswd).
  type: dict
  returned: for O(state=present)
  sample:
    xend-relocation-port: "8002"
    xend-relocation-server: "yes"
after:
  description: What xend reads for each of them after the run. In check mode, what it would.
  type: dict
  returned: for O(state=present)
  sample:
    xend-relocation-port: "8002"
    xend-relocation-server: "no"
left:
  description: What was left as it is, because somebody has changed it since.
  returned: for O(state=restored)
  type: list
  elements: str
restarted:
  description: Whether xend was restarted. In check mode, whether it would be.
  type: bool
  returned: success
  sample: true
backup_file:
  description: The copy of the file.
  type: str
  returned: when O(backup=true) and the file was changed, not in check mode
  sample: /etc/xen/xend-config.sxp.2811.2026-01-31@12:00:00~
"""

import numbers
import os
import re
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible_collections.xensec.hardening.plugins.module_utils import files, record, service, sxp, undo
from ansible_collections.xensec.hardening.plugins.module_utils.changes import carry_out

STATE_FOLDER = record.RECORD_ROOT
MARKER = "xend_config.restart-pending"
SECRETS = ("vncpasswd",)
MASK = "********"
NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")
TEXT = (str, type(b"".decode("ascii")))
SECRET_COMMENT = re.compile(r"(\(\s*['\"]?(?:%s))(?![A-Za-z0-9_-]).*" % "|".join(SECRETS), re.DOTALL)


def as_read(value):
    """Return a value of the task as sxp takes it: text with one character a byte.

    :raises ValueError: the value is of a kind that cannot be an option's.
    """
    if isinstance(value, TEXT):
        return to_bytes(value).decode("latin-1")
    if isinstance(value, (list, tuple)):
        return [as_read(item) for item in value]
    if isinstance(value, numbers.Integral):
        return value
    kind = type(value).__name__
    raise ValueError("a %s is not a value of xend's; give a string, integer, boolean or list" % kind)


def wanted_options(options):
    """Return the options checked and as sxp takes them. :raises ValueError: one is wrong."""
    wanted = {}
    for name in sorted(options):
        value = options[name]
        if not NAME.match(name):
            raise ValueError("%r cannot be an option of xend; give a name like 'xend-relocation-port'" % name)
        try:
            wanted[name] = None if value is None else as_read(value)
            sxp.edit("", {name: wanted[name]})
        except ValueError as error:
            raise ValueError("option %s, %r: %s" % (name, MASK if name in SECRETS else value, error))
    return wanted


def shown(value):
    """Return what sxp read as the text to show, whatever bytes it holds."""
    if isinstance(value, list):
        return [shown(item) for item in value]
    return None if value is None else to_text(value.encode("latin-1"), errors="replace")


def shown_values(text, names):
    """Return what xend reads in text for each of the names, secrets masked."""
    entries = sxp.loads(text)
    values = dict((name, shown(sxp.lookup(entries, name))) for name in names)
    for name in SECRETS:
        if values.get(name) is not None:
            values[name] = MASK
    return values


def shown_text(text, note=""):
    """Return the file's text for a diff, secrets replaced by a mask and the note."""
    nodes, comments = sxp.scan(text)
    spans = []
    for node in nodes:
        if node.items and len(node.items) > 1 and node.items[0].value in SECRETS:
            spans.append((node.items[0].end, node.end - 1, " '%s%s'" % (MASK, note)))
    for comment in comments:
        secret = SECRET_COMMENT.search(text, comment.start, comment.end)
        if secret and not any(start <= comment.start < end for start, end, _mask in spans):
            spans.append((secret.end(1), comment.end, " '%s')" % MASK))
    for start, end, mask in sorted(spans, reverse=True):
        text = text[:start] + mask + text[end:]
    return shown(text)


def misread(old, new, wanted):
    """Return which option the new text does not give as it must, or None."""
    try:
        before, after = sxp.loads(old), sxp.loads(new)
    except sxp.SxpError:
        return "the file"

    def ours(entry):
        return isinstance(entry, list) and entry and not isinstance(entry[0], list) and entry[0] in wanted

    for name in sorted(wanted):
        count = len([entry for entry in after if ours(entry) and entry[0] == name])
        if count != (wanted[name] is not None) or not sxp.reads_as(sxp.lookup(after, name), wanted[name]):
            return "option " + name
    if [entry for entry in before if not ours(entry)] != [entry for entry in after if not ours(entry)]:
        return "an option not given"
    return None


def read(path):
    """Return the text of the configuration, one character a byte. :raises ValueError: it cannot be had."""
    try:
        with open(path, "rb") as stream:
            text = stream.read().decode("latin-1")
        sxp.scan(text)
    except sxp.SxpError as error:
        raise ValueError(
            "%s: line %d, column %d: %s. Nothing was changed" % (path, error.line, error.column, error.reason)
        )
    except (IOError, OSError) as error:
        if not os.path.exists(path):
            raise ValueError(
                "%s does not exist: xend does not seem to be installed on this host. "
                "If it is, give its configuration file in 'path'" % path
            )
        raise ValueError("cannot read %s: %s. Give xend's configuration file in 'path'" % (path, error))
    return text


def replace(module, path, text):
    """Replace the content of path in one step, keeping owner, group, mode and security context."""
    handle, temporary = tempfile.mkstemp(prefix=".xensec-", dir=os.path.dirname(path))
    module.add_cleanup_file(temporary)
    with os.fdopen(handle, "wb") as stream:
        stream.write(text.encode("latin-1"))
        stream.flush()
        os.fsync(stream.fileno())
    module.atomic_move(temporary, path)


def mark(module, content):
    """Write the marker that a restart is due, safe from a crash; None removes it."""
    path = os.path.join(STATE_FOLDER, MARKER)
    try:
        if content is None:
            if os.path.exists(path):
                os.unlink(path)
            return
        if not os.path.isdir(STATE_FOLDER):
            os.makedirs(STATE_FOLDER, 0o700)
        record.write_atomically(path, content, 0o600)
    except (IOError, OSError) as error:
        module.fail_json(msg="cannot write or remove %s: %s. Mend that and run again" % (path, error))


def store(module, path, text, due):
    """Record the original, then replace it; due tells whether to note first that a restart must follow."""
    backup = {}
    try:
        record.Record("xend_config", root=STATE_FOLDER).keep(writes={path: text.encode("latin-1")})
        if module.params["backup"]:
            backup = {"backup_file": module.backup_local(path)}
        if due:
            mark(module, b"changed\n")
        replace(module, path, text)
    except (IOError, OSError, ValueError) as error:
        module.fail_json(msg="cannot change %s: %s. Mend that and run again" % (path, error))
    return backup


def restart(module, name):
    """Restart xend, leaving the marker behind if that fails or is interrupted."""
    mark(module, b"restarting\n")
    problem = service.restart(module, name)
    if problem:
        module.fail_json(
            msg="xend was not restarted, it may be down or run with its old options: %s. "
            "See xend's log, commonly /var/log/xen/xend.log, mend the cause and run again; "
            "the next run restarts it" % problem,
            stderr=problem,
        )


def pending():
    """Return what the marker says, the empty string if there is none."""
    try:
        with open(os.path.join(STATE_FOLDER, MARKER), "rb") as stream:
            return stream.read().strip() or b"changed"
    except (IOError, OSError):
        return b""


def plan_restart(module, changed):
    """Return whether xend is to be restarted, and what the marker of a run before this one says."""
    policy, marker = module.params["restart"], pending()
    due = policy == "always" or (policy == "changed" and (changed or marker != b""))
    # A run that got as far as restarting xend may have left it down.
    return due and (service.is_active(module, module.params["service"]) or marker == b"restarting"), due, marker


def finish(module, restarted, due, marker):
    if restarted:
        restart(module, module.params["service"])
    if due and (marker or restarted):
        mark(module, None)


def present(module, options):
    """Set the options; return the result."""
    path = os.path.realpath(module.params["path"])
    try:
        wanted = wanted_options(options)
        old = read(path)
    except ValueError as error:
        module.fail_json(msg=str(error))
    new = sxp.edit(old, wanted)
    wrong = misread(old, new, wanted)
    if wrong:
        problem = "%s would not read as it must, please report it" % wrong
        module.fail_json(msg="%s: bug, nothing written: %s" % (path, problem))

    changed = new != old
    restarted, due, marker = plan_restart(module, changed)
    result = {
        "changed": changed or restarted,
        "restarted": restarted,
        "before": shown_values(old, wanted),
        "after": shown_values(new, wanted),
    }
    if module._diff:
        result["diff"] = difference(path, old, new)
    if not module.check_mode:
        if changed:
            result.update(store(module, path, new, restarted and not marker))
        finish(module, restarted, due, marker)
    return result


def difference(path, old, new):
    """Return what changes in the file, secrets masked."""

    def secrets(text):
        try:
            entries = sxp.loads(text)
        except sxp.SxpError:
            return None
        return [sxp.lookup(entries, key) for key in SECRETS]

    def masked(text, note=""):
        try:
            return shown_text(text, note)
        except sxp.SxpError:
            return "(it cannot be read, so its content is not shown)\n"

    other = " (another one)" if secrets(old) != secrets(new) else ""
    return {"before_header": path, "after_header": path, "before": masked(old), "after": masked(new, other)}


def restored(module):
    """Put the file back; return the result."""
    kept = record.Record("xend_config", root=STATE_FOLDER)
    if not kept.exists():
        if module.params["forget"] and not module.check_mode:
            kept.close(forget=True)
        return {"changed": False, "restarted": False, "left": []}
    given = undo.Undo(kept, module.params["force"])
    now = dict((path, files.read(path) or b"") for path in given.paths)
    changed = [path for path in given.paths if now[path] != kept.original(path)]
    restarted, due, marker = plan_restart(module, bool(changed))
    result = {
        "changed": bool(given.paths) or restarted,
        "restarted": restarted,
        "left": given.left,
        "warnings": undo.warnings(given.left),
    }
    if module._diff:
        result["diff"] = [
            difference(path, now[path].decode("latin-1"), (kept.original(path) or b"").decode("latin-1"))
            for path in given.paths
        ]
    if not module.check_mode:
        if restarted and not marker:
            mark(module, b"changed\n")
        given.apply()
        finish(module, restarted, due, marker)
        given.tidy()
        if not given.left:
            mark(module, None)
            kept.close(module.params["forget"])
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
            "force": {"type": "bool", "default": False},
            "forget": {"type": "bool", "default": False},
            "path": {"type": "path", "default": "/etc/xen/xend-config.sxp"},
            "options": {"type": "dict"},
            "backup": {"type": "bool", "default": False},
            "restart": {"type": "str", "choices": ["never", "changed", "always"], "default": "changed"},
            "service": {"type": "str", "default": "xend"},
        },
        required_if=[("state", "present", ["options"])],
        supports_check_mode=True,
    )
    options = module.params["options"] or {}
    # The arguments come back in the result, too.
    module.params["options"] = dict((key, MASK if key in SECRETS else options[key]) for key in options)
    if module.params["state"] == "restored":
        carry_out(module, lambda: restored(module))
    else:
        carry_out(module, lambda: present(module, options))


if __name__ == "__main__":
    main()
