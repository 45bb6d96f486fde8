"""For every test: one BLAS thread. Two would fight for the cores with the servers that tests start."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
