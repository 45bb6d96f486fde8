"""`python -m deployments.prefect_server ARGUMENTS`: the same as `python -m prefect server ARGUMENTS`."""

import runpy
import sys

from deployments.prefect_server.sqlite_cursors import close_dropped_cursors_in_their_thread
from deployments.prefect_server.sqlite_transactions import begin_transactions_as_writers

close_dropped_cursors_in_their_thread()
begin_transactions_as_writers()
sys.argv = ["prefect", "server", *sys.argv[1:]]
runpy.run_module("prefect", run_name="__main__", alter_sys=True)
