"""The type of the arrays that this room computes with."""

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
