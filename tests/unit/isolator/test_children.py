import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from mesos_cni_port_mapper.isolator import children


def spawn(program: str) -> int:
    argv = [sys.executable, "-I", "-S", "-c", program]
    return os.posix_spawn(argv[0], argv, os.environ, setpgroup=0)


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("", 0),
        ("raise SystemExit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("import os; os.kill(os.getpid(), 6)", -signal.SIGABRT),
    ],
)
def test_a_program_is_waited_for_and_collected_a_while_later(program: str, status: int) -> None:
    pid = spawn(program)

    async def finish() -> tuple[int, str]:
        seen = await children.finish(pid, 10)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        await asyncio.sleep(0.3)
        return seen, state

    assert asyncio.run(finish()) == (status, "Z")
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_a_program_that_is_late_is_killed_and_collected() -> None:
    pid = spawn("import time; time.sleep(60)")

    with pytest.raises(TimeoutError):
        asyncio.run(children.finish(pid, 0.05))

    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_what_work_in_a_thread_raises_is_raised() -> None:
    def work() -> None:
        raise OSError(5, "five")

    with pytest.raises(OSError, match="five"):
        asyncio.run(children.perform(work, 5))
