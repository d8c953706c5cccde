# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role alone, on one node: hardened and given back it is what it was; what others change is left; no secret is told."""

import pytest
from restoretest import before, differences, play, snapshot

NODE = "node2"
ROLES = ["dom0_firewall", "xend_relocation", "dom0_services", "dom0_users"]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_alone_is_undone(machines, role):
    done = play("harden", "--limit", NODE, "--tags", role)
    assert done.returncode == 0, done.output
    assert differences(before(NODE), snapshot(machines[NODE])) != {}
    done = play("restore", "--limit", NODE, "--tags", role)
    assert done.returncode == 0, done.output
    assert differences(before(NODE), snapshot(machines[NODE])) == {}


SECRETS = r"""
cat /etc/ssh/ssh_host_*_key /root/.ssh/*_key /etc/xensec/relocation/keys/*/*ed25519 2>/dev/null | grep -v '^-----'
cut -d: -f2 /etc/shadow | grep -F '$'
sed -n "s/.*(vncpasswd '\(.*\)').*/\1/p" /etc/xen/xend-config.sxp
"""


def test_no_secret_is_told_and_what_others_change_is_left(machines):
    node = machines[NODE]
    told = [play("harden", "--limit", NODE, "-vvv", "--diff").output]
    # The file of a private key has the public one in it as well.
    public = node.check_output(
        "cat /etc/ssh/*.pub /root/.ssh/*.pub /etc/xensec/relocation/keys/*/*.pub 2>/dev/null || true"
    )
    secrets = {line for line in node.check_output(SECRETS).splitlines() if len(line) > 7 and line not in public}
    assert len(secrets) > 10
    readable = node.check_output(
        "find /etc/xensec /var/lib/xensec /run/xensec /tmp /var/tmp /etc/systemd/system /etc/ssh -type f -perm -004 "
        "-exec cat {} + 2>/dev/null || true"
    )
    node.check_output(
        'test $(stat -c %a /var/lib/xensec) = 700 && test -z "$(find /var/lib/xensec -type f -perm /077)"'
    )
    # Somebody goes on working: another option of xend, an account given a shell again.
    node.check_output("echo '(dom0-cpus 2)' >>/etc/xen/xend-config.sxp; usermod --shell /bin/sh dave")
    told.append(play("restore", "--limit", NODE, "-vvv", "--diff").output)
    left = " ".join(told[-1].split())
    assert "/etc/xen/xend-config.sxp has been changed since" in left
    assert "the shell of dave has been changed since" in left
    assert "2 things left as somebody changed them" in left
    changed = differences(before(NODE), snapshot(node))
    assert "file /etc/xen/xend-config.sxp" in changed and "account passwd" in changed
    told.append(play("restore", "--limit", NODE, "-vvv", "--diff", restore_force=True).output)
    # The copy that usermod made of the file before it changed it is nobody's but the test's.
    remains = set(differences(before(NODE), snapshot(node)))
    assert remains <= {"file /etc/passwd-", "file /etc/passwd- time"}
    for text in [*told, readable]:
        assert not [secret for secret in secrets if secret in text]
