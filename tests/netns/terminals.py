"""A pseudo terminal with a command behind it, and somebody who types."""

import json
import sys

from tests.netns.containers import Tool

# Runs a command behind a terminal of 33 rows and 99 columns, types what it is told to once it has
# seen what it is told to wait for, and prints all it saw and the status.
DRIVER = """\
import fcntl, json, os, pty, struct, sys, termios, time
steps, argv = json.loads(sys.argv[1]), sys.argv[2:]
pid, master = pty.fork()
if pid == 0:
    os.execv(argv[0], argv)
resize = lambda rows, columns: fcntl.ioctl(
    master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
resize(33, 99)
seen = b""
while True:
    if steps and steps[0][0].encode() in seen:
        _, text = steps.pop(0)
        if text == "RESIZE":
            resize(44, 111)
        else:
            os.write(master, text.encode())
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps({"status": status, "seen": seen.decode()}))
"""


def drive(tool: Tool, steps: list[tuple[str, str]], *arguments: str) -> tuple[int, str]:
    """Run a command behind a terminal; each step is what to wait for and what to type then."""
    argv = [sys.executable, "-c", DRIVER, json.dumps(steps), *tool.argv, *arguments]
    document = json.loads(tool.host.run(argv, env=tool.environment()).stdout)
    return document["status"], document["seen"]
