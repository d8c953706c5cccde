# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask for and restart a service under systemd, OpenRC or System V init, whichever runs the host."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

SYSTEMD_FOLDER = "/run/systemd/system"
INIT_FOLDER = "/etc/init.d"


def _command(module, name, action):
    """Return the command that does action (status or restart) to the service; fail the module if none can."""
    if os.path.isdir(SYSTEMD_FOLDER):
        systemctl = module.get_bin_path("systemctl", required=True)
        return [systemctl, "is-active" if action == "status" else action, name]
    for program in ("rc-service", "service"):
        found = module.get_bin_path(program)
        if found:
            return [found, name, action]
    script = os.path.join(INIT_FOLDER, name)
    if os.access(script, os.X_OK):
        return [script, action]
    module.fail_json(
        msg="cannot ask for the service %s: neither systemd, rc-service, service nor %s is here; "
        "set 'restart' to 'never' and restart it yourself" % (name, script)
    )


def is_active(module, name):
    """Return whether the service runs. One that does not exist does not run."""
    return module.run_command(_command(module, name, "status"))[0] == 0


def restart(module, name):
    """Restart the service and return the empty string, or what was said if it did not come back."""
    command = _command(module, name, "restart")
    code, output, errors = module.run_command(command)
    if code != 0:
        said = errors.strip() or output.strip() or "no message"
        return "'%s' returned %d: %s" % (" ".join(command), code, said)
    if not is_active(module, name):
        # Old init scripts of xend return 0 although the daemon did not start.
        return "'%s' returned 0, but the service does not run" % " ".join(command)
    return ""
