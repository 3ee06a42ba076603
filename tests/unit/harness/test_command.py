import subprocess

from mesos_cni_port_mapper.harness.cradle import arguments

PROGRAM = """\
import sys
sys.path[:] = sys.argv[2:]
import os
from mesos_cni_port_mapper.harness import cradle
from mesos_cni_port_mapper.harness.account import Account
from mesos_cni_port_mapper.harness.command import run_command, spawn_command
from mesos_cni_port_mapper.harness.init import close_imports
from mesos_cni_port_mapper.harness.orders import Command

close_imports()
try:
    import tokenize
except ImportError:
    print("closed", flush=True)
me = Account(uid=os.getuid(), gid=os.getgid(), groups=tuple(os.getgroups()), home="/")
command = Command(program="sh", argv=["sh", "-c", "exit 7"])
environment = {"PATH": "/nowhere:/usr/bin:/bin"}
spawned = spawn_command(command, me, environment)
print(os.waitstatus_to_exitcode(os.waitpid(spawned, 0)[1]), flush=True)
run_command(command, me, environment, -1, 2)
"""


def test_a_command_is_started_without_a_module_of_the_containers_files() -> None:
    argv = arguments(0)
    argv[argv.index("-c") + 1] = PROGRAM

    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr, done.returncode) == ("closed\n7\n", "", 7)
