"""Intervals and paired tests that the gates decide with. Pure: numbers in, numbers out."""

from tidegate.statistics.paired import (
    detectable_drop,
    largest_loss,
    mcnemar_exact,
    shows_non_inferiority,
    smallest_bank,
    tango_z,
)
from tidegate.statistics.percentiles import percentile, smallest_sample
from tidegate.statistics.proportions import Interval, wilson_interval
from tidegate.statistics.ratios import RatioInterval, paired_log_ratio

__all__ = [
    "Interval",
    "RatioInterval",
    "detectable_drop",
    "largest_loss",
    "mcnemar_exact",
    "paired_log_ratio",
    "percentile",
    "shows_non_inferiority",
    "smallest_bank",
    "smallest_sample",
    "tango_z",
    "wilson_interval",
]
