"""CNI plugins in Python: a framework to write them with, and those that are built in.

A plugin is a class with ``add``, ``delete`` and ``check`` (docs/writing-a-delegate.md). What it
wants of the kernel it plans as values (``operations``); ``kernel`` makes it so and can undo it.
"""
