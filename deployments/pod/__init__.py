"""What starts inside a pod that runs a flow: `python -m deployments.pod`. Imports nothing of Prefect."""
