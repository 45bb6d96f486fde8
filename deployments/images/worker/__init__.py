"""The image of a GPU worker; its package is on the path of tests and workers as `tidegate_worker`."""
