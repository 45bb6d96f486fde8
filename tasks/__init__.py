"""One step each: retries, timeouts and artifacts around one call into `tidegate`."""
