"""Prefect's worker type `runpod`: each flow run becomes a pod. Prefect finds it through the entry point in pyproject.toml."""
