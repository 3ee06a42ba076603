"""What happens to a new connection to a port of this host, told from listings: a small netfilter.

``observation`` looks at the host; everything else is handed what it found and decides. What cannot
be told from rules alone (a set's content, chance, another program's filters in the kernel) is said
to be unknown, and what depends on it is said with an "if".
"""
