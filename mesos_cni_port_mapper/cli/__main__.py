"""The entry point of `mesos-cni`: its commands, or what it executes itself as."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command of this process."""
    if sys.argv[1:2] == ["--cradle"]:
        # Nothing that commands need: whatever is imported is copied for each container.
        from mesos_cni_port_mapper.harness import cradle

        cradle.main(int(sys.argv[2]))
        return
    from mesos_cni_port_mapper.cli.program import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
