"""The published JSON schema of a report: `python -m tidegate.validation.schema [PATH]` writes it.

It is what the models generate; a test keeps docs/schemas/validation-report.json equal to it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tidegate.validation.report import SCHEMA_VERSION, ValidationReport, write_whole

PUBLISHED = Path("docs/schemas/validation-report.json")


def report_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of what `ValidationReport.save_json` writes."""
    generated = ValidationReport.model_json_schema(mode="serialization")
    generated["properties"]["schema_version"]["const"] = SCHEMA_VERSION
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tidegate:validation-report:{SCHEMA_VERSION}",
        **generated,
        "title": "Tidegate validation report",
    }


def as_text() -> str:
    """As it is published."""
    return json.dumps(report_schema(), indent=2) + "\n"


if __name__ == "__main__":
    write_whole(Path(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHED, as_text())
