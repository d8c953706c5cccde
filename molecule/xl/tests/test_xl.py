# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xl migrate works between the nodes, and through its port nothing else does."""

import json
import shlex

import pytest
from labtest import ADDRESSES, NODES, SSH_FAILED, attempt

SERVICE = "-F /etc/xensec/relocation/ssh_config"
REFUSED = "xensec: refused, this key is for xl migrate alone"


def address(host):
    return ADDRESSES[host]["management"]["ipv4"]


def guests(machine):
    return set(machine.check_output("xl list").split()) - {"received-with", "traveller"}


@pytest.mark.parametrize(("source", "target"), [("node1", "node2"), ("node2", "node3"), ("node3", "node1")])
def test_a_guest_moves_there_and_back_by_every_name(machines, source, target):
    guest = f"guest-{source}"
    for name in (target, address(target)):
        machines[source].check_output(f"xl migrate {guest} {name}")
        assert guest not in guests(machines[source])
        assert machines[target].check_output(f"cat /var/lib/lab-xl/{guest}") == f"of {source}"
        machines[target].check_output(f"xl migrate {guest} {source}")
        assert guest in guests(machines[source])


def test_a_terminal_makes_no_difference(machines):
    machines["node1"].check_output("script -qec 'xl migrate guest-node1 node2' /dev/null")
    options, environment = machines["node2"].check_output("cat /var/lib/lab-xl/received-with").splitlines()
    assert options == "-t"
    # Nothing of what the caller says gets into xl's environment.
    assert {"SSH_ORIGINAL_COMMAND", "SSH_CONNECTION", "LANG"}.isdisjoint(eval(environment))
    machines["node2"].check_output("xl migrate guest-node1 node1")


HOSTILE = [
    "",
    "true",
    "xl list",
    "xl migrate-receive -r",
    "xl migrate-receive --coloft-script=/tmp/x",
    "xl migrate-receive -e -d -p -e",
    "xl migrate-receive;touch /tmp/ran",
    "xl migrate-receive $(touch /tmp/ran)",
    "xl migrate-receive `touch /tmp/ran`",
    "xl migrate-receive\ntouch /tmp/ran",
    "xl  migrate-receive",
    " xl migrate-receive",
    "xl migrate-receive\t-e",
    "/usr/sbin/xl migrate-receive",
    "internal-sftp",
    "/usr/lib/openssh/sftp-server",
]


@pytest.mark.parametrize("command", HOSTILE)
def test_nothing_but_what_xl_sends_runs(machines, command):
    done = machines["node1"].run(f"ssh {SERVICE} node2 {shlex.quote(command)} </dev/null")
    assert (done.rc, done.stdout, done.stderr.strip()) == (126, "", REFUSED)
    assert not machines["node2"].file("/tmp/ran").exists


def test_a_refusal_is_logged_where_it_happened(machines):
    machines["node1"].run(f"ssh {SERVICE} node2 'cat /etc/shadow; \x1b[31m' </dev/null")
    said = machines["node2"].check_output("journalctl -q -t xensec-relocation -o cat -n 1")
    assert said == f"refused from {address('node1')}: cat /etc/shadow; ?[31m"


def test_a_command_of_a_megabyte_runs_nothing(machines):
    node1 = machines["node1"]
    script = "c = open('/etc/xensec/relocation/ssh_config').read(); long = 'xl migrate-receive ' + '-e ' * 350000"
    script += "; open('/tmp/long', 'w').write('Host *\\n  RemoteCommand ' + long + '\\n' + c)"
    node1.check_output(f"python3 -c {shlex.quote(script)}")
    machines["node2"].check_output("rm -f /var/lib/lab-xl/received-with")
    assert attempt(node1, "timeout 30 ssh -F /tmp/long node2 </dev/null").rc not in (0, 124)
    assert not machines["node2"].file("/var/lib/lab-xl/received-with").exists


def test_files_cannot_be_copied(machines):
    node1 = machines["node1"]
    assert attempt(node1, f"echo ls | sftp {SERVICE} -b - node2").rc != 0
    assert attempt(node1, f"scp -q {SERVICE} /etc/hostname node2:/tmp/copied").rc != 0
    assert attempt(node1, f"scp -q {SERVICE} node2:/etc/hostname /tmp/copied").rc != 0
    assert not machines["node2"].file("/tmp/copied").exists
    assert not node1.file("/tmp/copied").exists


def test_there_is_no_terminal(machines):
    assert "PTY allocation request failed" in attempt(machines["node1"], f"ssh {SERVICE} -tt node2 </dev/null").stderr


def test_nothing_is_forwarded(machines):
    node1 = machines["node1"]
    done = attempt(node1, f"ssh {SERVICE} -W 127.0.0.1:22 node2 </dev/null")
    assert done.rc != 0 and "SSH-" not in done.stdout
    # A listener there, on a port and on a path, and a tunnel device.
    for what in ("-R 9999:127.0.0.1:22", "-R /tmp/socket:127.0.0.1:22", "-w any"):
        assert attempt(node1, f"timeout 20 ssh {SERVICE} -o ExitOnForwardFailure=yes -N {what} node2").rc == SSH_FAILED
    # The agent's socket would be there while the session is.
    session = f"(sleep 3; echo) | ssh {SERVICE} -A node2 xl migrate-receive"
    node1.run(f"ssh-agent sh -c {shlex.quote('(' + session + ') >/dev/null 2>&1 & sleep 1.5')}")
    assert machines["node2"].run("find /tmp /root -name 'agent.*' | grep .").rc != 0


def test_a_key_is_good_from_its_owners_address_alone(machines):
    """node3's key, stolen and tried from node2; node2's own one gets in from there."""
    for host, wanted in (("node3", SSH_FAILED), ("node2", 126)):
        folder = machines[host].check_output("ls -d /etc/xensec/relocation/keys/* | tail -n 1")
        private = machines[host].check_output(f"cat {folder}/id_ed25519")
        machines["node2"].check_output(f"umask 077; echo {shlex.quote(private)} >/tmp/stolen")
        done = attempt(
            machines["node2"],
            "ssh -F none -i /tmp/stolen -p 8002 -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no "
            f"-o UserKnownHostsFile=/dev/null {address('node1')} id </dev/null",
        )
        assert done.rc == wanted, done.stderr
        machines["node2"].check_output("rm /tmp/stolen")


def test_another_host_key_is_not_believed(machines):
    """Somebody who takes node2's place on the network is not handed a guest."""
    node2 = machines["node2"]
    node2.check_output("ssh-keygen -q -t ed25519 -N '' -f /tmp/other <<<y || true")
    node2.check_output(
        "systemctl stop xensec-relocation.socket && sed 's|^HostKey .*|HostKey /tmp/other|' "
        "/etc/xensec/relocation/sshd_config >/tmp/sshd_config && /usr/sbin/sshd -f /tmp/sshd_config "
        f"-o ListenAddress={address('node2')}:8002 -o PidFile=/tmp/sshd.pid && sleep 1"
    )
    try:
        done = machines["node1"].run("xl migrate guest-node1 node2")
        assert done.rc != 0
        assert "Host key verification failed" in done.stderr
        assert "guest-node1" in guests(machines["node1"])
    finally:
        node2.check_output(
            "kill $(cat /tmp/sshd.pid); rm -f /tmp/other /tmp/other.pub; systemctl start xensec-relocation.socket"
        )


def test_the_ordinary_ssh_goes_where_it_went(machines):
    configuration = machines["node1"].check_output("ssh -G node2").splitlines()
    assert "port 22" in configuration
    assert not any("xensec" in line for line in configuration)


def test_the_ordinary_ssh_takes_root_from_nodes_no_more(machines):
    """With a key that still is among those it knows; from elsewhere root gets in as before, as these tests do."""
    assert "root@node2" in machines["node1"].file("/root/.ssh/authorized_keys").content_string
    login = "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    done = attempt(machines["node2"], f"{login} root@{address('node1')} id -u")
    assert (done.rc, done.stdout) == (SSH_FAILED, "")
    assert "Permission denied (publickey" in done.stderr


def test_a_guest_that_is_coming_in_survives_a_restart(machines):
    node1, node2 = machines["node1"], machines["node2"]
    sender = f"(echo late; sleep 3; echo content) | ssh {SERVICE} node2 xl migrate-receive >/tmp/late 2>&1"
    node1.check_output(f"systemd-run --quiet --collect --unit=late sh -c {shlex.quote(sender)} && sleep 1")
    node2.check_output("systemctl restart xensec-relocation.socket")
    node1.check_output("while systemctl -q is-active late; do sleep 0.2; done")
    assert node2.check_output("cat /var/lib/lab-xl/late") == "content"
    node2.check_output("rm /var/lib/lab-xl/late")


@pytest.mark.parametrize("host", NODES)
def test_keys_are_roots_alone_and_the_original_is_on_record(machines, host):
    node = machines[host]
    private = node.check_output("find /etc/xensec/relocation/keys -type f ! -name '*.pub' -printf '%u %m\\n'").split(
        "\n"
    )
    assert private == ["root 600"] * 2
    record = json.loads(node.file("/var/lib/xensec/xl_relocation.json").content_string)
    assert all(entry == {"absent": True} for entry in record["files"].values())
    assert node.file("/var/lib/xensec/xl_relocation.json").mode == 0o600
