"""Checks of a served endpoint over its OpenAI-compatible URL. Results are evidence, never exceptions."""

from tidegate.probes.endpoint import IDENTITY_CHECKS, PROBE_CHECKS, probe_endpoint
from tidegate.probes.target import ProbeTarget

__all__ = ["IDENTITY_CHECKS", "PROBE_CHECKS", "ProbeTarget", "probe_endpoint"]
