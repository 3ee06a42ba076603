"""The entry point of `mesos-cni`: its commands, or what it executes itself as."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command of this process."""
    _have_streams()
    # One who ignores it has that inherited, and then no child of ours can be asked how it ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if sys.argv[1:2] == ["--cradle"]:
        # Nothing that commands need: whatever is imported is copied for each container.
        from mesos_cni_port_mapper.harness import cradle

        cradle.main(int(sys.argv[2]))
        return
    from mesos_cni_port_mapper.cli.program import run

    sys.exit(run(sys.argv[1:]))


def _have_streams() -> None:
    """Have the three streams open, or what is opened next would be taken for one of them."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The lowest number that is free: this one.
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - for good


if __name__ == "__main__":
    main()
