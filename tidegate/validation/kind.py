"""Whether an artifact is what a service can serve: llama.cpp serves GGUF models, and a release takes one file. Pure."""

from tidegate.safetensors import ArtifactKind
from tidegate.validation.inspected import Inspected
from tidegate.validation.report import ValidationCategory, ValidationResult, ValidationStatus

KIND = "file.kind"
_TO_GGUF = "python convert_hf_to_gguf.py FOLDER --outfile MODEL.gguf"
_ADAPTER_TO_GGUF = "python convert_lora_to_gguf.py ADAPTER_FOLDER --base BASE_FOLDER --outfile ADAPTER.gguf"
_MERGE_ADAPTER = "llama-export-lora -m BASE.gguf --lora ADAPTER.gguf -o MODEL.gguf"
_MERGE_PARTS = "llama-gguf-split --merge FIRST_PART MODEL.gguf"

NAMES = {
    ArtifactKind.GGUF_MODEL: "GGUF model",
    ArtifactKind.GGUF_ADAPTER: "LoRA adapter in GGUF",
    ArtifactKind.PEFT_ADAPTER: "LoRA adapter in safetensors",
    ArtifactKind.HF_MODEL: "model in safetensors",
    ArtifactKind.SAFETENSORS: "file of weights in safetensors",
}
REMEDIES = {
    ArtifactKind.GGUF_ADAPTER: f"Merge it with its base model: {_MERGE_ADAPTER}; then validate the merged model.",
    ArtifactKind.PEFT_ADAPTER: f"Convert it: {_ADAPTER_TO_GGUF}; merge it with its base model: {_MERGE_ADAPTER}; "
    "then validate the merged model.",
    ArtifactKind.HF_MODEL: f"Convert it: {_TO_GGUF}; then validate the GGUF file.",
    ArtifactKind.SAFETENSORS: "Put it into one folder with config.json and the tokenizer, and convert that: "
    f"{_TO_GGUF}; then validate the GGUF file.",
}


def judge_kind(seen: Inspected, *, must_serve: bool) -> ValidationResult:
    """`must_serve`: it is for a service, so that anything but a GGUF model is refused, however sound it is."""
    kind = NAMES.get(seen.kind)
    details: dict[str, object] = {"artifact": seen.kind.value, "files": len(seen.files) or 1}
    if kind is None:
        remedy = "Name a GGUF file, or the folder of a model or an adapter in safetensors."
        return _result(ValidationStatus.FAILED, "This is no model and no adapter.", remedy, details)
    if seen.model is None:
        return _result(ValidationStatus.NOT_JUDGED, "Not judged: the header could not be read.", "", details)
    if seen.is_other_kind:
        sound = "a" if seen.has_errors() else "a sound"
        text = f"This is {sound} {kind}. A service that llama.cpp serves needs a GGUF model."
        status = ValidationStatus.FAILED if must_serve else ValidationStatus.WARNING
        return _result(status, text, REMEDIES[seen.kind], details)
    if seen.is_split:
        text = f"This is a {kind} in {len(seen.files)} files. Releases take one file: it may be deployed after merging."
        remedy = f"Merge the parts: {_MERGE_PARTS}; validate and register the merged file, which has a digest of its own."
        return _result(ValidationStatus.WARNING, text, remedy, details)
    return _result(ValidationStatus.PASSED, f"This is a {kind} in one file.", "", details)


def _result(
    status: ValidationStatus, message: str, remedy: str, details: dict[str, object]
) -> ValidationResult:
    return ValidationResult(
        category=ValidationCategory.FORMAT, check_name=KIND, status=status, message=message, remedy=remedy,
        details=details,
    )  # fmt: skip
