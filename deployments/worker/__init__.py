"""How a worker starts flow runs: in a process forked from one that has everything loaded."""
