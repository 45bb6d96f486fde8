"""Split models through the whole validation, and the pinned engine's own word on what the corpus calls sound."""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus import corpus
from tests.corpus.models import llama
from tests.corpus.splits import split
from tidegate.domain import Policy
from tidegate.validation import PreDeploymentValidator, Recommendation, ValidationReport, validate_artifact

POLICY = Policy.model_validate({"artifact": {"min_bytes": 1024}})
LARGEST_BATCH = 400


def _write(folder: Path, count: int = 3) -> list[Path]:
    paths: list[Path] = []
    for name, part in split(llama(), count).items():
        paths.append(folder / name)
        paths[-1].write_bytes(part.encode())
    return paths


def _validate(path: Path, digest: str | None = None) -> ValidationReport:
    return validate_artifact(path, POLICY, expected_digest=digest, context_tokens=128, parallel=1)


def test_the_first_part_stands_for_the_whole_set_with_a_digest_for_each_part(tmp_path: Path):
    paths = _write(tmp_path)
    report = _validate(paths[0])
    assert report.findings == ()
    assert report.size_bytes == sum(path.stat().st_size for path in paths)
    assert report.model is not None
    assert report.model.tensors == len(llama().tensors)
    listed = next(result for result in report.results if result.check_name == "gguf.structure").details[
        "files"
    ]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert {row["path"]: row["digest"] for row in listed} == digests
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    assert report.digest == hashlib.sha256(lines.encode()).hexdigest()
    assert _validate(paths[0], report.digest).recommendation is Recommendation.DEPLOY


def test_a_change_of_any_part_changes_the_digest_of_the_set(tmp_path: Path):
    paths = _write(tmp_path)
    before = _validate(paths[0]).digest
    raw = bytearray(paths[2].read_bytes())
    raw[-40] ^= 1
    paths[2].write_bytes(bytes(raw))
    report = _validate(paths[0], before)
    assert "I-DIGEST" in {found.check for found in report.findings}
    assert report.recommendation is Recommendation.DO_NOT_DEPLOY


@pytest.mark.parametrize(("number", "check"), [(1, "P-MISSING"), (2, "P-MISSING")])
def test_a_missing_part_is_named(tmp_path: Path, number: int, check: str):
    paths = _write(tmp_path)
    paths[number].unlink()
    report = _validate(paths[0])
    assert check in {found.check for found in report.findings}
    assert any(paths[number].name in found.message for found in report.findings)


def test_a_later_part_alone_is_refused_with_the_way_out(tmp_path: Path):
    report = _validate(_write(tmp_path)[1])
    found = next(row for row in report.findings if row.check == "P-SPLIT")
    assert "validate the first" in found.remedy


def test_a_quick_look_at_a_set_reads_headers_only_and_never_deploys(tmp_path: Path):
    paths = _write(tmp_path)
    report = PreDeploymentValidator(paths[0], policy=POLICY, profile="quick").validate_all()
    assert report.digest == ""
    assert report.findings == ()
    assert report.model is not None
    assert report.model.tensors == len(llama().tensors)


# Loads each file named on its input and answers with one line; a file that aborts it leaves the line out.
ENGINE = """
import ctypes, sys
from llama_cpp import llama_cpp as engine
silence = engine.llama_log_callback(lambda *_: None)
engine.llama_log_set(silence, ctypes.c_void_p(0))
engine.llama_backend_init()
def judge(path):
    params = engine.llama_model_default_params()
    params.check_tensors, params.n_gpu_layers = True, 0
    model = engine.llama_model_load_from_file(path.encode(), params)
    if not model:
        return "refused"
    wanted = engine.llama_context_default_params()
    wanted.n_ctx = wanted.n_batch = wanted.n_ubatch = 64
    wanted.n_threads = wanted.n_threads_batch = 1
    context = engine.llama_init_from_model(model, wanted)
    if not context:
        return "no context"
    tokens = (engine.llama_token * 4)(65, 66, 67, 68)
    answer = engine.llama_decode(context, engine.llama_batch_get_one(tokens, 4))
    engine.llama_free(context)
    engine.llama_model_free(model)
    return "ok" if answer == 0 else f"decode {answer}"
for line in sys.stdin:
    print(judge(line.strip()), flush=True)
"""


def test_every_file_that_the_corpus_calls_sound_or_odd_loads_in_the_engine_and_runs(tmp_path: Path):
    # Not imported here: that leaves a file open in this process.
    if importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("the engine is not installed")
    names: list[str] = []
    paths: list[str] = []
    for case in corpus():
        if case.label == "reject":
            continue
        folder = tmp_path / str(len(names))
        folder.mkdir()
        files = case.content if isinstance(case.content, dict) else {"model.gguf": case.content}
        for name, raw in files.items():
            (folder / name).write_bytes(raw)
        names.append(case.name)
        paths.append(str(folder / min(files)))
    assert 100 < len(names) < LARGEST_BATCH
    done = subprocess.run(
        [sys.executable, "-c", ENGINE], input="\n".join(paths), capture_output=True, text=True, timeout=120
    )
    answers = done.stdout.split("\n")[:-1]
    assert [f"{name}: {answer}" for name, answer in zip(names, answers, strict=False) if answer != "ok"] == []
    assert len(answers) == len(names), f"the engine ended at {names[len(answers)]}: {done.stderr[-500:]}"
