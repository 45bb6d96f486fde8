"""Intervals, paired and sequential tests, and planning that the gates decide with. Pure: numbers in, numbers out.

| question | use |
|---|---|
| share of right answers, of errors, of requests inside an SLO | `wilson_interval`, `share_p_value` |
| right/wrong answers against a baseline, one look | `mcnemar_exact` (worse?), `tango_z`, `tango_interval`, `largest_loss` (inside the margin?) |
| graded scores against a baseline, one look | `clustered_difference`, `paired_bca` for skewed ones |
| mean of skewed values of any size, in clusters | `cluster_mean` |
| latency against a baseline | `quantile_ratio` over alternating block pairs; `block_bootstrap_ratio` only for imported runs |
| the same, looked at while it runs | `discordant_e_value`, `bet_on_margin`, `sign_e_value`, `share_e_value` |
| shares of two sets at the same moments, while they run | `rate_paths`; `limit_paths` against a fixed share |
| times of two sets, while they run | `sign_path` over the signs of blocks |
| several questions at once | `holm`, `benjamini_hochberg` |
| has a series of nights changed its level | `rise` |
| one figure of a run | `percentile_interval`; `percentile` for display |
| interval and margin to a verdict | `judge_interval`, `judge_ratio` |
| how much to measure, what it can show | `plan_quality`, `plan_latency`, and the functions of `planning` |

Names are loaded when they are first used: most commands decide nothing, and numpy takes a tenth of a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.statistics.betting import SequentialDecision, bet_on_margin, log_capitals
    from tidegate.statistics.block_signs import sign_path
    from tidegate.statistics.bootstrap import block_bootstrap_ratio, paired_bca
    from tidegate.statistics.changes import ChangePoint, rise
    from tidegate.statistics.cluster_bootstrap import ClusterMean, cluster_mean
    from tidegate.statistics.concurrent import RateBlock, limit_paths, rate_paths, requests_until_within
    from tidegate.statistics.graded import MeanDifference, clustered_difference, unit_means
    from tidegate.statistics.multiplicity import benjamini_hochberg, holm
    from tidegate.statistics.paired import (
        largest_loss,
        mcnemar_exact,
        shows_non_inferiority,
        tango_interval,
        tango_z,
    )
    from tidegate.statistics.percentiles import (
        PercentileEstimate,
        percentile,
        percentile_interval,
        smallest_sample,
    )
    from tidegate.statistics.planning import (
        LatencyPlan,
        QualityPlan,
        detectable_drop,
        detectable_ratio,
        mcnemar_power,
        pairs_for_limit,
        plan_latency,
        plan_quality,
        provable_margin,
        questions_for_drop,
        questions_for_margin,
        ratio_power,
        requests_for_share,
        smallest_bank,
    )
    from tidegate.statistics.proportions import Interval, share_p_value, wilson_interval
    from tidegate.statistics.ratios import RatioInterval, paired_log_ratio, quantile_ratio
    from tidegate.statistics.sequential import (
        SignEvidence,
        discordant_e_value,
        first_crossing,
        log_share_evidence,
        share_below_e_value,
        share_e_value,
        sign_e_value,
    )
    from tidegate.statistics.verdicts import judge_interval, judge_ratio

__all__ = [
    "ChangePoint",
    "ClusterMean",
    "Interval",
    "LatencyPlan",
    "MeanDifference",
    "PercentileEstimate",
    "QualityPlan",
    "RateBlock",
    "RatioInterval",
    "SequentialDecision",
    "SignEvidence",
    "benjamini_hochberg",
    "bet_on_margin",
    "block_bootstrap_ratio",
    "cluster_mean",
    "clustered_difference",
    "detectable_drop",
    "detectable_ratio",
    "discordant_e_value",
    "first_crossing",
    "holm",
    "judge_interval",
    "judge_ratio",
    "largest_loss",
    "limit_paths",
    "log_capitals",
    "log_share_evidence",
    "mcnemar_exact",
    "mcnemar_power",
    "paired_bca",
    "paired_log_ratio",
    "pairs_for_limit",
    "percentile",
    "percentile_interval",
    "plan_latency",
    "plan_quality",
    "provable_margin",
    "quantile_ratio",
    "questions_for_drop",
    "questions_for_margin",
    "rate_paths",
    "ratio_power",
    "requests_for_share",
    "requests_until_within",
    "rise",
    "share_below_e_value",
    "share_e_value",
    "share_p_value",
    "shows_non_inferiority",
    "sign_e_value",
    "sign_path",
    "smallest_bank",
    "smallest_sample",
    "tango_interval",
    "tango_z",
    "unit_means",
    "wilson_interval",
]

_HOMES = {
    "betting": ("SequentialDecision", "bet_on_margin", "log_capitals"),
    "block_signs": ("sign_path",),
    "bootstrap": ("block_bootstrap_ratio", "paired_bca"),
    "cluster_bootstrap": ("ClusterMean", "cluster_mean"),
    "changes": ("ChangePoint", "rise"),
    "concurrent": ("RateBlock", "limit_paths", "rate_paths", "requests_until_within"),
    "graded": ("MeanDifference", "clustered_difference", "unit_means"),
    "multiplicity": ("benjamini_hochberg", "holm"),
    "paired": ("largest_loss", "mcnemar_exact", "shows_non_inferiority", "tango_interval", "tango_z"),
    "percentiles": ("PercentileEstimate", "percentile", "percentile_interval", "smallest_sample"),
    "planning": (
        "LatencyPlan",
        "QualityPlan",
        "detectable_drop",
        "detectable_ratio",
        "mcnemar_power",
        "pairs_for_limit",
        "plan_latency",
        "plan_quality",
        "provable_margin",
        "questions_for_drop",
        "questions_for_margin",
        "ratio_power",
        "requests_for_share",
        "smallest_bank",
    ),
    "proportions": ("Interval", "share_p_value", "wilson_interval"),
    "ratios": ("RatioInterval", "paired_log_ratio", "quantile_ratio"),
    "sequential": (
        "SignEvidence",
        "discordant_e_value",
        "first_crossing",
        "log_share_evidence",
        "share_below_e_value",
        "share_e_value",
        "sign_e_value",
    ),
    "verdicts": ("judge_interval", "judge_ratio"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tidegate.statistics.{_MODULE_OF[name]}"), name)
