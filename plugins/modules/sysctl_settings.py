#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: sysctl_settings
short_description: Keep one named group of kernel settings, now and at every boot
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Writes the settings to a file of their own, C(/etc/sysctl.d/99-xensec-NAME.conf), and sets them in the kernel.
    Settings in other files are left alone; this one is read late, and prevails.
  - What the kernel had before the first change is on record in C(/var/lib/xensec/sysctl_NAME.json).
  - Settings that the kernel does not have are left out and returned; it is an error if it refuses one that it has.
options:
  name:
    description: Which group, up to 12 lower-case letters and digits. It gives the file its name.
    type: str
    required: true
  settings:
    description:
      - The values by key, with dots or slashes, as C(sysctl.d) has them. Numbers are compared as text.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description: Nothing is written or set; the result is that of the real run, but for a setting the kernel refuses.
  diff_mode:
    support: full
    description: Shows the file, and what the kernel has.
  platform:
    support: full
    platforms: linux
    description: Needs C(/proc/sys).
"""

EXAMPLES = r"""
- name: Answer no redirects
  xensec.hardening.sysctl_settings:
    name: redirects
    settings:
      net.ipv4.conf.all.accept_redirects: 0
      net/ipv4/conf/eth0.5/accept_redirects: 0
"""

RETURN = r"""
missing:
  description: The settings that the kernel does not have.
  returned: always
  type: list
  elements: str
  sample: [net.ipv6.conf.all.accept_redirects]
reasons:
  description: Why something was, or in check mode would be, changed.
  returned: always
  type: list
  elements: str
  sample: ["net.ipv4.conf.all.accept_redirects was 1"]
"""

import os
import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.xensec.hardening.plugins.module_utils import sysctl
from ansible_collections.xensec.hardening.plugins.module_utils.record import RECORD_ROOT, Record, write_atomically

STATE_FOLDER = RECORD_ROOT


def read(path):
    if not os.path.exists(path):
        return None
    with open(path, "rb") as stream:
        return stream.read().decode("utf-8", "replace")


def describe(values):
    return "".join("%s = %s\n" % (key, values[key]) for key in sorted(values))


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "settings": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    if not re.match(r"[a-z][a-z0-9]{0,11}\Z", name):
        module.fail_json(msg="name=%r: give up to 12 lower-case letters and digits" % name)
    settings = dict((key, " ".join(str(value).split())) for key, value in module.params["settings"].items())
    path = os.path.join(sysctl.FOLDER, "99-xensec-%s.conf" % name)
    found = dict((key, sysctl.get(key)) for key in settings)
    missing = sorted(key for key in settings if found[key] is None)
    held = dict((key, found[key]) for key in settings if found[key] is not None)
    wanted = dict((key, settings[key]) for key in held)
    before, after = read(path), sysctl.render(wanted)
    differing = sorted(key for key in held if held[key] != wanted[key])
    reasons = ["%s was %s" % (key, held[key]) for key in differing]
    if before != after:
        reasons.insert(0, "%s differs" % path)
    result = {
        "changed": bool(reasons),
        "missing": missing,
        "reasons": reasons,
        "diff": [
            {"before_header": path, "after_header": path, "before": before or "", "after": after},
            {"before_header": "kernel", "after_header": "kernel", "before": describe(held), "after": describe(wanted)},
        ],
    }
    if reasons and not module.check_mode:
        Record("sysctl_" + name, root=STATE_FOLDER).keep(files=[path], state=held)
        if before != after:
            if not os.path.isdir(sysctl.FOLDER):
                os.makedirs(sysctl.FOLDER, 0o755)
            write_atomically(path, after.encode("utf-8"), 0o644)
        refused = [(key, sysctl.put(key, wanted[key])) for key in differing]
        refused = ["%s = %s (%s)" % (key, wanted[key], why) for key, why in refused if why]
        if refused:
            module.fail_json(msg="the kernel refused %s: it is set at boot only, by %s" % (", ".join(refused), path))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
