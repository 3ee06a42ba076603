"""Whether this host can forward ports to containers: what is looked at, and what is thought of it.

``collect`` looks and changes nothing; ``judgement`` decides over what it found and does nothing.
"""
