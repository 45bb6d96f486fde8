"""Edges of all histograms, in seconds. Objectives are among them exactly, because burn rates read that one bucket."""

from tidegate.domain.live_edges import REQUEST_S, TOKEN_S, TTFT_OBJECTIVE_S, TTFT_S
from tidegate.domain.totals import CALL_S, OPERATION_S, PIPELINE_S

__all__ = ["CALL_S", "OPERATION_S", "PIPELINE_S", "REQUEST_S", "TOKEN_S", "TTFT_OBJECTIVE_S", "TTFT_S"]
