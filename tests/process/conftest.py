from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is no failure. Failures are found again from their printed example: nothing is kept on disk.
settings.register_profile(
    "process", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("process")
