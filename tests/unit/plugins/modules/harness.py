# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module's main() in this process, its arguments given and its result returned as on a host."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json

from ansible.module_utils import basic


class ModuleFailed(Exception):
    """The module called fail_json. C(result) has what it was given, C(str()) the message."""

    def __init__(self, result):
        Exception.__init__(self, result["msg"])
        self.result = result


class _Exited(Exception):
    pass


def run(module_main, args, check=False, diff=True):
    """Return the result of the module, C(invocation) included, as it would come back through JSON.

    :arg module_main: the module's main function.
    :arg args: its arguments, by name.
    :raises ModuleFailed: it failed.
    """
    results, warnings = [], []

    def exit_json(module, **result):
        assert "warnings" not in result, "warnings go by module.warn, see changes.carry_out"
        if warnings:
            result["warnings"] = warnings
        results.append(dict(result, invocation={"module_args": module.params}))
        module.do_cleanup_files()
        raise _Exited()

    def fail_json(module, msg, **result):
        results.append(dict(result, msg=msg, failed=True, invocation={"module_args": module.params}))
        module.do_cleanup_files()
        raise _Exited()

    given = dict(args, _ansible_check_mode=check, _ansible_diff=diff, _ansible_remote_tmp="/tmp")
    replaced = [
        (basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode("utf-8")),
        (basic, "_ANSIBLE_PROFILE", "legacy"),
        (basic.AnsibleModule, "exit_json", exit_json),
        (basic.AnsibleModule, "fail_json", fail_json),
        (basic.AnsibleModule, "warn", lambda module, text: warnings.append(text)),
        (basic.AnsibleModule, "log", lambda module, *arguments, **more: None),
    ]
    before = [(owner, name, owner.__dict__.get(name)) for owner, name, _value in replaced]
    try:
        for owner, name, value in replaced:
            setattr(owner, name, value)
        module_main()
    except _Exited:
        pass
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
    assert len(results) == 1, "the module must end in exit_json or fail_json, once"
    result = json.loads(json.dumps(results[0]))
    if result.get("failed"):
        raise ModuleFailed(result)
    return result
