"""The ``network/cni`` isolator: containers attached to CNI networks as a Mesos agent attaches them.

What decides is apart from what acts. Pure: ``names``, ``paths``, ``network_info``, ``netconf``,
``dns``, ``host_files``, ``records``, ``planning``, ``recovery``, ``counters`` and the parsing in
``configurations`` and ``mounts``. Acting: ``checkpoints`` and ``survey`` on the state root;
``plugins`` and ``lifeline``, ``inside`` and ``children``; ``attachments``, ``container_files``. All
of it is put together in ``isolator``, by its ``settings``.
"""
