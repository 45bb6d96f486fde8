"""The published JSON schema of a benchmark: `python -m tidegate.benchmark.report.schema [PATH]` writes it.

It is what the models generate; a test keeps docs/schemas/benchmark-run.json equal to it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tidegate.benchmark.report.document import SCHEMA_VERSION, BenchmarkReport

PUBLISHED = Path("docs/schemas/benchmark-run.json")


def report_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of what `tidegate bench` writes. Absent fields of a request have their default."""
    generated = BenchmarkReport.model_json_schema(mode="validation")
    # A reader must be told which of the kinds of document this is; the model would fill it in.
    generated["required"] = sorted({*generated["required"], "kind", "schema_version"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tidegate:benchmark-run:{SCHEMA_VERSION}",
        **generated,
        "title": "Tidegate benchmark",
    }


def as_text() -> str:
    """As it is published."""
    return json.dumps(report_schema(), indent=2) + "\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHED).write_text(as_text(), encoding="utf-8")
