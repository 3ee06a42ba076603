"""Settings for tests that search for counterexamples: few examples, no clock, nothing kept."""

from hypothesis import configuration, settings

configuration.set_hypothesis_home_dir(".build/hypothesis")
settings.register_profile("unit", max_examples=60, deadline=None, database=None)
settings.load_profile("unit")
