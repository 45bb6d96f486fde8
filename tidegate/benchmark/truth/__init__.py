"""A server with known truth: what a load generator says can be held against what was really written.

`start_truth_server(shape)` runs one in a process of its own; by hand: `python -m tidegate.benchmark.truth`.
"""

from tidegate.benchmark.truth.launch import RunningTruth, start_truth_server
from tidegate.benchmark.truth.record import RequestTruth
from tidegate.benchmark.truth.shape import Draw, Fault, FaultKind, Law, Shape

__all__ = ["Draw", "Fault", "FaultKind", "Law", "RequestTruth", "RunningTruth", "Shape", "start_truth_server"]
