"""Tests of what `make build` froze: what is in it, and what it answers."""
