"""Edges of all histograms, in seconds. Objectives are among them exactly, because burn rates read that one bucket."""

TTFT_OBJECTIVE_S = 2.0
"""A request is good for the objective `ttft` when its first token came by then: `le="2.0"` in the alert rules."""

TTFT_S = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, TTFT_OBJECTIVE_S, 3.0, 5.0, 10.0, 30.0)
REQUEST_S = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
TOKEN_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
CALL_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
OPERATION_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0)
PIPELINE_S = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
