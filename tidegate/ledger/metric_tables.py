"""Tables of what is only ever added up: totals outlive the rows that they count."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from tidegate.ledger.columns import Rows


class TotalRow(Rows):
    """One number of a metric. `labels` are its values, joined; `part` is an edge of a histogram, or one of `totals`."""

    __tablename__ = "metric_totals"

    metric: Mapped[str] = mapped_column(primary_key=True)
    labels: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    amount: Mapped[float]


class PipelineRunRow(Rows):
    """A run of a flow that ended. Its id makes that it is counted once; old rows go, their totals stay."""

    __tablename__ = "pipeline_runs"
    __table_args__ = (Index(None, "ended_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    flow: Mapped[str]
    state: Mapped[str]
    seconds: Mapped[float]
    ended_at: Mapped[datetime]
