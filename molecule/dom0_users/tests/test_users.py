# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else became of the accounts; and changes that would lock the operators out, taken back by the hosts."""

import subprocess
import time

import pytest
from doortest import (
    ALLOWED,
    baseline,
    by_key,
    files,
    inside,
    root_on,
    ssh,
    ticks,
)
from labtest import LAB, NODES, converge, killed_afterwards, reboot


@pytest.mark.parametrize("node", NODES)
def test_the_service_goes_on(node):
    machine = root_on(node)
    assert machine.check_output("systemctl is-active lab-keeper") == "active"
    assert machine.check_output("ps -o user= -p $(systemctl show --value -p MainPID lab-keeper)").strip() == "keeper"


def test_the_jobs_of_root_and_of_the_service_go_on_and_those_of_others_do_not():
    before, deadline = {node: ticks(node) for node in NODES}, time.monotonic() + 130
    while not all(ticks(node)[name] > before[node][name] for node in NODES for name in ("root", "keeper")):
        assert time.monotonic() < deadline, (before, {node: ticks(node) for node in NODES})
        time.sleep(3)
    assert all(ticks(node)["bob"] == before[node]["bob"] for node in NODES)


@pytest.mark.parametrize("node", NODES)
def test_system_accounts_serve_root_as_before(node):
    """What maintenance scripts do: root switches to a system account, without a terminal."""
    assert root_on(node).check_output("su -s /bin/sh -c 'id -un' www-data < /dev/null") == "www-data"


@pytest.mark.parametrize("node", NODES)
def test_accounts_that_nothing_let_in_are_as_they_were(node):
    """Expired, locked, without a password; root; and of the idle one all but the shell."""
    pattern = "^(frank|grace|root|www-data|backup|sync):"
    for name in ("passwd", "shadow"):
        now = root_on(node).check_output(f"grep -E '{pattern}' /etc/{name}")
        assert now == root_on(node).check_output(f"grep -E '{pattern}' /root/{name}")
        assert len(now.splitlines()) == 6
    assert root_on(node).check_output("grep ^idler: /etc/shadow") == root_on(node).check_output(
        "grep ^idler: /root/shadow"
    )
    assert root_on(node).check_output("grep -c '^idler:.*:/usr/sbin/nologin$' /etc/passwd") == "1"


@pytest.mark.parametrize("node", NODES)
def test_the_record_is_for_root(node):
    for name in ("account_allowlist", "login_policy"):
        record = root_on(node).file(f"/var/lib/xensec/{name}.json")
        assert record.mode == 0o600 and record.user == "root"


@pytest.mark.parametrize("node", NODES)
def test_lines_of_others_are_byte_for_byte_as_they_were(node):
    assert "+@staff::::::" in root_on(node).check_output("cat /etc/passwd").splitlines()
    assert root_on(node).check_output("grep -c '^toor:x:0:0:another root:/root:/usr/sbin/nologin$' /etc/passwd") == "1"
    # root's keys are also what the second root had, and stay.
    keys = [line for line in baseline(node) if line.startswith("/home/ops/.ssh/")]
    assert ("ops" not in ALLOWED[node]) or set(keys) <= set(files(node))


@pytest.mark.parametrize("node", NODES)
def test_pam_keeps_our_lines_through_package_updates(node):
    machine = root_on(node)
    before = machine.check_output("sha256sum /etc/pam.d/common-*")
    machine.check_output("DEBIAN_FRONTEND=noninteractive pam-auth-update --package")
    assert machine.check_output("sha256sum /etc/pam.d/common-*") == before


def test_the_machine_that_runs_the_lab_keeps_its_kernel_settings():
    """In a container the settings are not its own, and the role says so instead of writing them."""
    assert not [node for node in NODES if root_on(node).file("/etc/sysctl.d/99-xensec-users.conf").exists]
    done = subprocess.run(converge("-v", variables={}), capture_output=True, text=True, check=True)
    assert "a container has the kernel of the machine around it" in done.stdout
    assert '"state": "set"' not in done.stdout


@pytest.mark.parametrize("node", NODES)
def test_sessions_and_what_was_left_running_are_ended(node):
    assert root_on(node).run("pgrep -u dave").stdout == ""
    assert not root_on(node).file("/var/lib/systemd/linger/dave").exists


# --- input that would lock the operator out -----------------------------------------------------------------


@pytest.mark.parametrize(
    "allowed, message",
    [
        ([], "dom0_users_allowed is empty"),
        (["root", "ops", "mallory"], "correct the line '- mallory'"),
        (["keeper"], "add the line '- root'"),
    ],
)
def test_bad_input_is_refused_before_any_change(allowed, message):
    before = files("node1")
    done = subprocess.run(
        converge(variables={"dom0_users_allowed": allowed}, limit="node1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert files("node1") == before


# Connections are shared, as operators have them: one that exists would pass whatever sshd says to new ones.
SHARED = f"-F {LAB}/ssh_config -o ControlMaster=auto -o ControlPersist=60 -o ControlPath=/tmp/xensec-%C"
FATAL = {
    "dom0_users_permit_root_login": "no",
    "dom0_users_precheck": False,
    "dom0_users_confirm_timeout": 20,
    "ansible_ssh_args": SHARED,
}


def test_a_fatal_change_of_sshd_is_taken_back_by_the_host():
    before = files("node1")
    done = subprocess.run(
        converge(variables=FATAL, limit="node1"), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode != 0
    assert "the host has taken the login files back by itself" in done.stdout + done.stderr
    assert by_key("node1", "root")
    assert files("node1") == before


def test_closing_the_account_that_comes_in_is_taken_back_by_the_host():
    """The operator of node2 closes its own account, and with it the way to become root."""
    before = files("node2")
    variables = {"dom0_users_allowed": ["root"], "dom0_users_precheck": False, "dom0_users_confirm_timeout": 20}
    done = subprocess.run(
        converge(variables=variables, limit="node2"), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode != 0
    assert "by itself" in done.stdout + done.stderr
    assert by_key("node2", "ops")
    assert files("node2") == before


def killed_controller(node):
    """Run the fatal change, and kill the controller as soon as the host has it."""
    # Time enough to see that it would be fatal, on a busy machine as well.
    variables = {
        **FATAL,
        "dom0_users_confirm_timeout": 60,
        "ansible_ssh_args": f"-F {LAB}/ssh_config -o ControlMaster=no",
    }
    with killed_afterwards(converge(variables=variables, limit=node)):
        deadline = time.monotonic() + 240
        while "PermitRootLogin no" not in inside(node, "cat", "/etc/ssh/sshd_config.d/00-xensec.conf"):
            assert time.monotonic() < deadline, "the fatal change never came"
            time.sleep(0.2)


def test_a_killed_controller_locks_nobody_out():
    killed_controller("node3")
    time.sleep(1)
    assert not ssh("node3", "root"), "the change was to be fatal, and is not"
    deadline = time.monotonic() + 150
    while not ssh("node3", "root"):
        assert time.monotonic() < deadline
        time.sleep(1)


def test_a_reboot_before_the_confirmation_comes_up_with_the_old_files():
    before = files("node3")
    killed_controller("node3")
    reboot("node3")
    assert ssh("node3", "root")
    assert files("node3") == before
    assert root_on("node3").run("ls /etc/systemd/system/xensec-rollback-* /var/lib/xensec/rollback/*").rc != 0


def test_a_second_run_changes_nothing_in_one_call_per_module():
    counting = "journalctl _COMM=sshd _COMM=sshd-session -o cat | grep -c '^Accepted '"
    before = int(root_on("node1").check_output(counting))
    done = subprocess.run(converge(variables={}, limit="node1"), capture_output=True, text=True, check=True)
    after = int(root_on("node1").check_output(counting))
    assert "changed=0" in done.stdout
    # Reading, doors, accounts, kernel, and the connection that counts.
    assert after - before == 5
