"""Legacy tables without iptables(8): iptables-restore and iptables-save again, on python-iptables.

A program of its own, because the import takes longer than a whole ADD through iptables-restore.
"""
