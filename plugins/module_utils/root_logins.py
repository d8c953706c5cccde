# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the ordinary ssh server take root from everywhere but the cluster's other nodes."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.xensec.hardening.plugins.module_utils import files
from ansible_collections.xensec.hardening.plugins.module_utils.control import control_connection
from ansible_collections.xensec.hardening.plugins.module_utils.relocation_ssh import NOTICE
from ansible_collections.xensec.hardening.plugins.module_utils.sshd import CONFIG, DROP_INS, Sshd

# Of several Match that apply the first counts: before the file of the role dom0_users, in any locale's order.
PATH = DROP_INS + "/00-xen-relocation.conf"
# A Match in an included file ends with that file (sshd_config(5), Include).
TEXT = """\
{notice}Match User root Address {addresses}
    PermitRootLogin no
"""


def refusable(addresses):
    """Return the addresses to refuse, and a warning about those that cannot be.

    What was refused before stays so: a node that left the cluster may still have its key. The address that this very run
    comes from is never refused: its operator would be locked out.
    """
    if not addresses:
        return [], ""
    control = control_connection()
    own = control["address"] if control else ""
    warning = ""
    addresses = sorted(set(addresses) | set(refused_by((files.read(PATH) or b"").decode("latin-1"))))
    if own in addresses:
        warning = (
            "this run comes from %s, one of the cluster's own nodes, so the ordinary ssh goes on taking root from there: "
            "run it from another machine, or take root's keys away there" % own
        )
    if not Sshd.reads_drop_ins():
        return [], (
            "the ordinary ssh goes on taking root from the other nodes, because %s does not include %s/*.conf: put the "
            "line 'Include %s/*.conf' at its beginning" % (CONFIG, DROP_INS, DROP_INS)
        )
    return [address for address in addresses if address != own], warning


def refused_by(text):
    found = re.search(r"^Match User root Address (\S+)$", text, re.M)
    return found.group(1).split(",") if found else []


def wanted(addresses):
    """Return the file that refuses root from these addresses, as (path, text, mode); nothing if there are none."""
    return [(PATH, TEXT.format(notice=NOTICE, addresses=",".join(sorted(addresses))), 0o644)] if addresses else []


def put_into_effect(module, before, addresses):
    """Have the ssh server read the file that was just written or removed, or put the former one back and fail."""
    server = Sshd(module)
    error = server.check()
    loose = [] if error else [address for address in addresses if not refuses(server, address)]
    if loose:
        error = "a Match in another file lets root in from %s, and counts before ours: take it out" % ", ".join(loose)
    error = error or server.reload()
    if error:
        put_back(before)
        server.reload()
        module.fail_json(msg="the ordinary ssh server was left as it was: %s" % error)


def refuses(server, address):
    return server.effective("root", address).get("permitrootlogin") == ["no"]


def put_back(before):
    if before is None:
        files.remove(PATH)
    else:
        files.rewrite(PATH, before)
