"""Property tests among the unit tests: no deadline per example, since a busy machine says nothing about the code."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, print_blob=True)
settings.load_profile("unit")
