"""Tidegate: a gate between training and users for GGUF language models. Never imports Prefect."""

__version__ = "0.1.0"
