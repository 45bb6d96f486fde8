"""Edges of all histograms, in seconds. Objectives are among them exactly, because burn rates read that one bucket."""

from tidegate.domain.live_edges import REQUEST_S, TOKEN_S, TTFT_OBJECTIVE_S, TTFT_S

__all__ = ["CALL_S", "OPERATION_S", "PIPELINE_S", "REQUEST_S", "TOKEN_S", "TTFT_OBJECTIVE_S", "TTFT_S"]

CALL_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
OPERATION_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0)
PIPELINE_S = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
