"""The protocol: what a CNI plugin is asked, what it answers, and how it asks another.

Specification: https://www.cni.dev/docs/spec/ (0.1.0 to 1.1.0).
"""
