"""The agent: an HTTP server beside the containers' directories, which any number of times may die.

::

    mesos-cni agent  --fork, before anything else-->  launcher  --fork-->  monitors, recoveries
      server                                            one thread, few modules, no event loop
        http, access, connections    requests in, answers out; whom to let in, and how long
        supervision                  recover at the start, then help who lost a monitor
        operations                   launch, kill, wait
        census                       what the containers' directories say
        metrics, notify              for Prometheus, for systemd
        calls, tasks, state, listing documents, read and made without acting

Nothing that matters is known to the agent alone: it reads the directories for every answer.
"""
