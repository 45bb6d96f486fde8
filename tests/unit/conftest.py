"""Properties without a clock: a busy machine is no counterexample."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "clockless", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("clockless")
