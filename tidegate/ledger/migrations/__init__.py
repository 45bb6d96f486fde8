"""Schema of the ledger, step by step. `tidegate.ledger.engine` applies the steps when a ledger is opened.

A new step: change `tables.py`, add `versions/NNNN_what.py`, set HEAD; the migration test tells what is missing.
"""

HEAD = "0008"
