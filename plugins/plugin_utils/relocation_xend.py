# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What xend listens on, and whom it admits, in the options of xend-config.sxp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.xensec.hardening.plugins.filter.xend_hosts_allow import xend_hosts_allow

if TYPE_CHECKING:
    from ansible_collections.xensec.hardening.plugins.plugin_utils.relocation_settings import Settings

# xend's option for each listener besides relocation, and the value that leaves it on its Unix socket or off.
OTHER_LISTENERS: dict[str, tuple[str, Any]] = {
    "http": ("xend-http-server", False),
    "xmlrpc": ("xend-tcp-xmlrpc-server", False),
    "xen-api": ("xen-api-server", [["unix"]]),
}


def options(settings: Settings, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The options of xend-config.sxp that carry the plan out."""
    found: dict[str, Any] = {
        option: value
        for listener, (option, value) in OTHER_LISTENERS.items()
        if listener not in settings.keep_listeners
    }
    # Off, and kept off: should somebody turn the server on again, it serves nobody but the node itself.
    itself = not plan["enabled"] or plan["tunnel"]
    found["xend-relocation-server"] = plan["enabled"]
    found["xend-relocation-ssl-server"] = plan["enabled"] and settings.ssl
    found["xend-relocation-port"] = settings.port
    found["xend-relocation-ssl-port"] = settings.ssl_port
    found["xend-relocation-address"] = "127.0.0.1" if itself else plan["address"]
    found["xend-relocation-hosts-allow"] = xend_hosts_allow(["127.0.0.1"] if itself else plan["sources"])
    return found
