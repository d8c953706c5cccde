#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: report_files
short_description: Write the files of a report on the controller
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Writes whole files into one folder of the controller, each in one step and with a newline at its end, for nobody
    else to read. A folder that is missing
    is made with the mode 0700; one that is there keeps its mode.
  - It writes in check mode as well, and never counts as a change, for what it writes is no change of any host.
  - It has an action plugin alone, and asks no host for anything.
options:
  path:
    description: The folder, an absolute path.
    type: path
    required: true
  files:
    description: What each file holds, by its name in the folder. They are written in this order.
    type: dict
    required: true
  former:
    description:
      - Under which name a file's content is kept before it is written anew, by the file's name.
    type: dict
    default: {}
attributes:
  check_mode:
    support: none
    description: Looking and doing write the same report.
  diff_mode:
    support: none
    description: The files hold what is not for the terminal.
  platform:
    support: full
    description: It runs on the controller.
    platforms: posix
"""

EXAMPLES = r"""
- name: Write the report, and keep the former one
  xensec.hardening.report_files:
    path: /srv/xensec/report
    files:
      report.html: "{{ report | xensec.hardening.audit_page }}"
      report.json: "{{ report | to_json }}"
    former:
      report.json: report-previous.json
  run_once: true
"""

RETURN = r"""
written:
  description: The names of the files written, in order.
  returned: success
  type: list
  elements: str
  sample: [report.html, report.json]
"""
