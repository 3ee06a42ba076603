"""The operating system, kept thin and boring: files, locks, child processes, the host's identity.

These modules know nothing of CNI. They raise ``OSError`` and the few exceptions defined beside the
functions that raise them.
"""
