"""A quality run as a document that stays: JSON that is read back, Markdown, and one HTML page."""

from tidegate.quality.report.document import QualityReport, comparison_report, run_report
from tidegate.quality.report.markdown import to_markdown
from tidegate.quality.report.page import to_html

__all__ = ["QualityReport", "comparison_report", "run_report", "to_html", "to_markdown"]
