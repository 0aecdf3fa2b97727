"""What all tests have in common."""

from hypothesis import settings

# A slow machine must not fail a property: time is measured in benchmarks/.
settings.register_profile("cognate", deadline=None)
settings.load_profile("cognate")
