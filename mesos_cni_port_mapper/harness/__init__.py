"""Containers without Mesos: new namespaces, a command, and the network/cni isolator beside them.

There is no daemon. A container has three processes and a directory::

    whoever launches  --fork-->  monitor  --fork, new PID namespace-->  init (1)  --fork-->  command
                                    |
    <runtime_dir>/containers/ID/ ---+    spec, identities, output, exit status

The monitor owns the directory, which it holds locked, and does everything that needs the isolator.
Whoever wants to know something reads the directory (``containers``); whoever wants something done
sends a signal to init, or takes the place of a monitor that died (``recovery``).
"""
