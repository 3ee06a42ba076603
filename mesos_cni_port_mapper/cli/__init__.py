"""The command line of `mesos-cni`: one module a command, imported when it is called.

A command reads its flags, calls the harness, prints, and returns an exit status: 0, 1 for a
failure, 2 for flags and documents that cannot be meant, or the status of a container.
"""
