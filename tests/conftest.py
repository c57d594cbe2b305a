"""Settings of every test: a busy machine is no defect, so hypothesis sets no deadline."""

from hypothesis import settings

settings.register_profile("tracemark", deadline=None)
settings.load_profile("tracemark")
