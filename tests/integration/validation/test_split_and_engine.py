"""Split models through the whole validation, and the pinned engine's own word on what the corpus calls sound."""

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deployments.demo import gguf_file
from tests.corpus import corpus
from tests.corpus.models import llama
from tests.corpus.splits import split
from tidegate.domain import Policy
from tidegate.quality import read_bank
from tidegate.validation import (
    ChildLauncher,
    ChildLimits,
    EngineJob,
    PreDeploymentValidator,
    Recommendation,
    ValidationReport,
    ValidationStatus,
    validate_artifact,
)
from tidegate.validation.comparison import read_difference
from tidegate.validation.opened import opened

DEMO = Path(__file__).parents[3] / "deployments" / "demo"
BANK = read_bank(DEMO / "banks" / "pipit.jsonl")
# A machine that runs other tests is no place to judge speed against a baseline: each is held up at other moments.
DEMO_POLICY = Policy.model_validate(
    {
        "artifact": {"min_bytes": 65536},
        "validation": {"latency": {"max_slowdown": 1000.0, "slowdown_floor_ms": 0.5}},
    }
)
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


@pytest.fixture(scope="module")
def demo_parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The demonstration model as `llama-gguf-split` would write it in three files."""
    folder = tmp_path_factory.mktemp("parts")
    whole = gguf_file.read(DEMO / "models" / "pipit-v2.gguf")
    total = len(whole.tensors)
    paths: list[Path] = []
    for number in range(3):
        own = (
            gguf_file.Field("split.no", gguf_file.U16, number),
            gguf_file.Field("split.count", gguf_file.U16, 3),
            gguf_file.Field("split.tensors.count", gguf_file.I32, total),
        )
        fields = (*whole.fields, *own) if number == 0 else own
        tensors = whole.tensors[total * number // 3 : total * (number + 1) // 3]
        path = folder / f"pipit-{number + 1:05d}-of-00003.gguf"
        paths.append(gguf_file.write(path, gguf_file.GgufFile(fields, tensors)))
    return paths


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, for this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_sound_set_is_asked_and_compared_like_the_one_model_that_it_is(
    demo_parts: list[Path], scratch: Path
):
    whole = DEMO / "models" / "pipit-v2.gguf"
    report = PreDeploymentValidator(
        demo_parts[0].parent, baseline_path=whole, policy=DEMO_POLICY, bank=BANK
    ).validate_all()
    results = {result.check_name: result for result in report.results}
    assert report.failed_checks == []
    assert report.recommendation is Recommendation.DEPLOY_WITH_WARNINGS
    assert "after merging" in results["file.kind"].message
    for check in ("inference.load", "inference.answers", "memory.cross_check", "regression.answers"):
        assert results[check].status is ValidationStatus.PASSED, results[check].message
    for check in ("regression.template", "regression.tokenizer", "regression.metadata"):
        assert results[check].status is ValidationStatus.PASSED, results[check].message
    assert report.memory is not None
    assert report.memory.cross_check_bytes
    assert list(scratch.iterdir()) == []


def test_the_engine_refuses_a_set_of_another_digest_and_leaves_no_names_when_it_is_killed(
    demo_parts: list[Path], scratch: Path
):
    other = PreDeploymentValidator(demo_parts[0], policy=DEMO_POLICY, expected_digest="0" * 64)
    results = {result.check_name: result for result in other.validate_engine().results}
    assert results["inference.load"].status is ValidationStatus.FAILED
    with opened(demo_parts[0]) as artifact:
        job = EngineJob("0" * 64, parts=artifact.parts)
        run = ChildLauncher().run(artifact.descriptor, job, ChildLimits(wall_s=0.01))
    assert run.outcome.result is None
    assert list(scratch.iterdir()) == []


def test_weights_of_a_set_are_compared_with_those_of_the_whole(demo_parts: list[Path]):
    shares = read_difference(demo_parts[0], DEMO / "models" / "pipit-v2.gguf", with_weights=True)["weights"]
    assert sum(share.compared for share in shares) == len(
        gguf_file.read(DEMO / "models" / "pipit-v2.gguf").tensors
    )
    assert sum(share.different for share in shares) == 0
    others = read_difference(demo_parts[0], DEMO / "models" / "pipit-v1.gguf", with_weights=True)["weights"]
    assert sum(share.different for share in others) > 0


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
        [sys.executable, "-c", ENGINE], input="\n".join(paths), capture_output=True, text=True, timeout=600
    )
    answers = done.stdout.split("\n")[:-1]
    assert [f"{name}: {answer}" for name, answer in zip(names, answers, strict=False) if answer != "ok"] == []
    assert len(answers) == len(names), f"the engine ended at {names[len(answers)]}: {done.stderr[-500:]}"
