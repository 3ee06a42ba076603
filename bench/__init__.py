"""What an ADD, a DEL and a start cost, as ratios against the plugins of the field: `make bench`.

Absolute times belong to one machine and one moment, so none is judged or even shown. Two programs
take turns in random order, and what counts is the ratio within each pair. Everything happens in
throwaway hosts; the machine's own rules and interfaces are not touched.
"""
