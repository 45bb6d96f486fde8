"""A drift report as the ledger keeps it. The id follows from what was compared: the same comparison has one place."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tidegate.domain import Measurement, MeasurementKind, ServiceRef, pack_record, unpack_record
from tidegate.drift.report import DriftReport

ID_CHARACTERS = 20


def measurement_id(
    base_digest: str, candidate_digest: str, set_digests: Mapping[str, str], settings: Mapping[str, Any]
) -> str:
    """Of two files, texts and settings: what decides the numbers, up to the order of floating-point sums."""
    parts = [base_digest, candidate_digest, dict(set_digests), dict(settings)]
    text = json.dumps(parts, sort_keys=True)
    return f"drift-{hashlib.sha256(text.encode()).hexdigest()[:ID_CHARACTERS]}"


def measurement_of(identity: str, report: DriftReport, ref: ServiceRef | None = None) -> Measurement:
    """The summary is what tables and trends want; the record is the whole report."""
    return Measurement(
        id=identity,
        kind=MeasurementKind.DRIFT,
        org=ref.org if ref else None,
        service=ref.service if ref else None,
        digest=report.candidate.digest,
        label=f"{report.candidate.file} against {report.base.file}"[:200],
        taken_at=report.taken_at,
        summary=_summary(report),
        record=pack_record(report.model_dump_json()),
    )


def report_of(measured: Measurement) -> DriftReport | None:
    """The whole report again; None when its record was not read or is of another version."""
    if measured.record is None:
        return None
    try:
        return DriftReport.model_validate_json(unpack_record(measured.record))
    except ValueError:
        return None


def _summary(report: DriftReport) -> dict[str, Any]:
    return {
        "base_digest": report.base.digest,
        "is_quantization": report.is_quantization,
        "refusal": report.refusal,
        "noise_floor_kl": report.noise.kl_mean if report.noise else None,
        "sets": {
            found.name: {
                "source": found.source,
                "digest": found.digest,
                "texts": found.texts,
                "tokens": found.tokens,
                "kl": found.kl.model_dump(),
                "kl_p99": found.kl_percentiles.p99,
                "same_top": found.same_top.model_dump(),
                "nll_change": found.nll_change.model_dump(),
                "cand_nll": found.cand_nll.mean,
                "base_nll": found.base_nll.mean,
            }
            for found in report.sets
        },
    }
