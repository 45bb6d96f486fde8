"""The DAGs. A flow file shows its shape and nothing else; tasks do one call each."""
