"""What a pod of the pool `gpu-runpod` runs: the flows, what they import, and the engine."""
