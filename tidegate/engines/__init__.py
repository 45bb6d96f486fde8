"""Inference engines: how to start one and how to talk to it. Knows nothing of platforms."""
