"""`tidegate demo`: releases good and bad models to two organizations under load, kills one set, tells what users got.

Uses the product as a person does: the real stack, Prefect's API, the ledger. Decides nothing itself.
"""

from pathlib import Path

REPORT = Path("report.html")


def run_demo(
    *,
    as_json: bool = False,
    plain: bool = False,
    keep_up: bool = True,
    report: Path = REPORT,
    org: str = "",
) -> int:
    """Run it and return the exit code: 0 when every release ended as it must and no request was lost.

    Raises:
        TidegateError: when it could not be run at all.
    """
    from tidegate.demo.performance import Wishes, perform

    return perform(Wishes(as_json=as_json, plain=plain, keep_up=keep_up, report=report, org=org))
