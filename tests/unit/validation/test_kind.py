"""What is sound but no GGUF model in one file: said so, and refused where a service has to run it."""

import pytest

from tidegate.gguf import finding
from tidegate.safetensors import ArtifactKind
from tidegate.validation import ModelSummary, ValidationStatus
from tidegate.validation.inspected import Inspected
from tidegate.validation.kind import judge_kind

MODEL = ModelSummary(architecture="llama", name="", parameters=1, tensors=1, tensor_types=("F16",))
FILE = {"path": "a", "digest": "d", "size_bytes": 1}
OTHERS = [
    ArtifactKind.GGUF_ADAPTER,
    ArtifactKind.PEFT_ADAPTER,
    ArtifactKind.HF_MODEL,
    ArtifactKind.SAFETENSORS,
]


def test_a_model_in_one_file_is_what_is_served():
    assert judge_kind(Inspected(model=MODEL), must_serve=True).status is ValidationStatus.PASSED


@pytest.mark.parametrize("kind", OTHERS)
def test_another_kind_is_sound_as_what_it_is_but_refused_for_a_service(kind: ArtifactKind):
    seen = Inspected(kind=kind, model=MODEL)
    named = judge_kind(seen, must_serve=False)
    assert named.status is ValidationStatus.WARNING
    assert "This is a sound" in named.message
    assert "needs a GGUF model" in named.message
    refused = judge_kind(seen, must_serve=True)
    assert refused.status is ValidationStatus.FAILED
    assert any(tool in refused.remedy for tool in ("convert_hf_to_gguf.py", "llama-export-lora"))


def test_a_damaged_adapter_is_not_called_sound():
    seen = Inspected(kind=ArtifactKind.GGUF_ADAPTER, model=MODEL, findings=[finding("F-CHILD", "x")])
    assert "sound" not in judge_kind(seen, must_serve=False).message


def test_a_set_may_be_deployed_after_merging():
    result = judge_kind(Inspected(model=MODEL, files=[FILE, FILE]), must_serve=False)
    assert result.status is ValidationStatus.WARNING
    assert "may be deployed after merging" in result.message
    assert "llama-gguf-split --merge" in result.remedy


def test_what_could_not_be_read_has_no_kind():
    assert judge_kind(Inspected(), must_serve=False).status is ValidationStatus.NOT_JUDGED
    unknown = judge_kind(Inspected(kind=ArtifactKind.UNKNOWN), must_serve=False)
    assert unknown.status is ValidationStatus.FAILED
