"""PEFT adapters: the configuration, the pairs of matrices, and whether both tell the same story."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

from tidegate.gguf import Finding, Severity, quote
from tidegate.gguf.lora import LARGEST_RANK, UNUSUAL_SCALE, check_trained
from tidegate.safetensors.header import Weight, WeightsHeader
from tidegate.safetensors.json_text import JsonValue
from tidegate.safetensors.rules import finding

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
USABLE_DTYPES = frozenset({"F32", "F16", "BF16"})
MAX_TOLD = 10

_MATRIX = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+?)\."
    r"lora_(?P<embedding>embedding_)?(?P<side>[AB])(?:\.[A-Za-z0-9_-]+)??(?:\.weight)?"
)
_LITERAL = re.compile(r"[\w.]+")
# Options that change what is computed, with the value that means that they are off.
_OPTIONS: dict[str, tuple[object, ...]] = {
    "use_dora": (False,), "bias": ("none",), "modules_to_save": ([],), "layer_replication": ([],),
    "trainable_token_indices": ([], {}), "alora_invocation_tokens": ([],), "megatron_config": ({},),
    "target_parameters": ([],), "use_qalora": (False,), "use_bdlora": (False,),
}  # fmt: skip
# Ways of starting that rewrite the base weights: the adapter fits the rewritten ones, not the published.
_REWRITING = ("pissa", "olora", "loftq", "corda", "lora_ga")


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """What the checks of the weights need of a configuration."""

    rank: int | None = None
    other_ranks: frozenset[int] = frozenset()
    targets: tuple[str, ...] = ()
    """Names of modules; empty when a pattern or `all-linear` was given."""
    base: str = ""
    task: str = ""
    may_have_others: bool = False


@dataclass(slots=True)
class _Pair:
    sides: dict[str, Weight] = field(default_factory=dict[str, Weight])
    is_embedding: bool = False


def read_config(table: Mapping[str, JsonValue]) -> tuple[AdapterConfig, tuple[Finding, ...]]:
    """Judge `adapter_config.json`."""
    found = [*_kind(table), *_strength(table), *_base(table), *_options(table)]
    rank, targets = table.get("r"), table.get("target_modules")
    if not _is_rank(rank):
        found.append(finding("AD-RANK", f"r is {quote(str(rank))}.", subject="r"))
    names: tuple[str, ...] = ()
    if isinstance(targets, list) and targets and all(isinstance(one, str) and one for one in targets):
        names = tuple(str(one) for one in targets)
    elif not (isinstance(targets, str) and targets) and not table.get("target_parameters"):
        text = "target_modules names no modules." if not targets else "target_modules is no list of names."
        found.append(finding("AD-TARGET", text, subject="target_modules"))
    config = AdapterConfig(
        rank=rank if _is_rank(rank) and isinstance(rank, int) else None,
        other_ranks=_other_ranks(table, found),
        targets=names,
        base=str(table.get("base_model_name_or_path") or ""),
        task=str(table.get("task_type") or ""),
        may_have_others=any(_is_on(table, name) for name in ("modules_to_save", "use_dora", "bias")),
    )
    return config, tuple(found)


def check_adapter_weights(
    header: WeightsHeader, config: AdapterConfig, zeros: frozenset[str]
) -> Iterator[Finding]:
    """Pairs, ranks and targets of the weights against the configuration."""
    pairs, others = _pairs(header)
    if not pairs:
        yield finding("AD-PAIR", "The file holds no LoRA matrices.", subject=WEIGHTS_NAME)
        return
    for weight in [] if config.may_have_others else others[:MAX_TOLD]:
        text = f"Tensor {quote(weight.name)} is no LoRA matrix and no option explains it."
        yield finding("AD-TENSOR", text, subject=weight.name)
    told = 0
    for module, pair in pairs.items():
        for one in _check_pair(module, pair, config):
            told += 1
            if told <= MAX_TOLD:
                yield one
    yield from _check_targets(pairs, config)
    yield from _check_layers(pairs)
    matrices = [pair.sides["B"].name for pair in pairs.values() if "B" in pair.sides]
    yield from check_trained(zeros.intersection(matrices), matrices)


def _kind(table: Mapping[str, JsonValue]) -> Iterator[Finding]:
    kind = table.get("peft_type")
    if kind != "LORA":
        shown = "missing" if kind is None else quote(str(kind))
        yield finding("AD-KIND", f"peft_type is {shown}; only LORA is known.", subject="peft_type")
    task = table.get("task_type")
    if task != "CAUSAL_LM":
        shown = "missing" if task is None else quote(str(task))
        yield finding("AD-TASK", f"task_type is {shown} instead of CAUSAL_LM.", subject="task_type")
    if table.get("auto_mapping"):
        yield finding("PK-CODE", "auto_mapping names classes to load.", subject="auto_mapping",
                      severity=Severity.WARNING)  # fmt: skip


def _strength(table: Mapping[str, JsonValue]) -> Iterator[Finding]:
    alpha, rank = table.get("lora_alpha"), table.get("r")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or alpha <= 0:
        yield finding("AD-ALPHA", f"lora_alpha is {quote(str(alpha))}.", subject="lora_alpha")
    elif isinstance(rank, int) and _is_rank(rank):
        # Ranks and strengths from a file may have forty digits; a float holds them all.
        scale = float(alpha) / (math.sqrt(rank) if table.get("use_rslora") is True else rank)
        if scale > UNUSUAL_SCALE:
            text = f"lora_alpha {alpha} with r {rank} applies the adapter {scale:g}-fold."
            yield finding("AD-SCALE", text, subject="lora_alpha")
    dropout = table.get("lora_dropout", 0)
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        yield finding("AD-OPTION", f"lora_dropout is {quote(str(dropout))}.", subject="lora_dropout")


def _base(table: Mapping[str, JsonValue]) -> Iterator[Finding]:
    key = "base_model_name_or_path"
    base = table.get(key)
    if not isinstance(base, str) or not base.strip():
        yield finding("AD-BASE", f"{key} names no model.", subject=key)
    elif (
        PurePosixPath(base).is_absolute()
        or PureWindowsPath(base).is_absolute()
        or base.startswith((".", "~"))
    ):
        text = f"{key} is {quote(base)}, a folder of the machine where it was trained."
        yield finding("AD-BASE", text, subject=key, severity=Severity.WARNING)


def _options(table: Mapping[str, JsonValue]) -> Iterator[Finding]:
    for name in _OPTIONS:
        if _is_on(table, name):
            yield finding("AD-OPTION", f"{name} is {quote(str(table[name]))}.", subject=name)
    start = table.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_REWRITING):
        text = f"init_lora_weights is {quote(start)}, which rewrites the base weights before training."
        yield finding("AD-OPTION", text, subject="init_lora_weights")


def _is_on(table: Mapping[str, JsonValue], name: str) -> bool:
    value = table.get(name)
    return value is not None and value not in _OPTIONS[name]


def _is_rank(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_RANK


def _other_ranks(table: Mapping[str, JsonValue], found: list[Finding]) -> frozenset[int]:
    """Ranks that single modules may have. The patterns are regular expressions from the file: not evaluated."""
    pattern = table.get("rank_pattern") or {}
    ranks = list(pattern.values()) if isinstance(pattern, dict) else [None]
    if not all(_is_rank(rank) for rank in ranks):
        found.append(
            finding("AD-RANK", "rank_pattern holds something that is no rank.", subject="rank_pattern")
        )
    return frozenset(rank for rank in ranks if isinstance(rank, int))


def _pairs(header: WeightsHeader) -> tuple[dict[str, _Pair], list[Weight]]:
    pairs: dict[str, _Pair] = {}
    others: list[Weight] = []
    for weight in header.weights:
        match = _MATRIX.fullmatch(weight.name)
        if match is None:
            others.append(weight)
            continue
        pair = pairs.setdefault(match["module"], _Pair())
        pair.sides[match["side"]] = weight
        pair.is_embedding = match["embedding"] is not None
    return pairs, others


def _check_pair(module: str, pair: _Pair, config: AdapterConfig) -> Iterator[Finding]:
    a, b = pair.sides.get("A"), pair.sides.get("B")
    if a is None or b is None:
        missing = "A" if a is None else "B"
        yield finding("AD-PAIR", f"{quote(module)} has no matrix {missing}.", subject=module)
        return
    for weight in (a, b):
        if weight.dtype not in USABLE_DTYPES:
            yield finding("AD-DTYPE", f"Tensor {quote(weight.name)} is {weight.dtype}.", subject=weight.name)
    if not 2 <= len(a.shape) == len(b.shape):
        text = f"{quote(module)} has matrices of {len(a.shape)} and {len(b.shape)} dimensions."
        yield finding("AD-SHAPE", text, subject=module)
        return
    if a.shape[0] != b.shape[1]:
        text = f"{quote(module)} has A of shape {list(a.shape)} and B of shape {list(b.shape)}; the ranks differ."
        yield finding("AD-SHAPE", text, subject=module)
    elif config.rank is not None and a.shape[0] not in {config.rank, *config.other_ranks}:
        text = f"{quote(module)} has rank {a.shape[0]}; the configuration says {config.rank}."
        yield finding("AD-RANK", text, subject=module)


def _check_targets(pairs: Mapping[str, _Pair], config: AdapterConfig) -> Iterator[Finding]:
    """Every named target has weights and all weights have a named target, where targets are plain names."""
    if not config.targets or not all(_LITERAL.fullmatch(target) for target in config.targets):
        return
    used: set[str] = set()
    strays: list[str] = []
    for module in pairs:
        hits = [target for target in config.targets if module == target or module.endswith("." + target)]
        used.update(hits)
        if not hits:
            strays.append(module)
    unused = [target for target in config.targets if target not in used]
    if unused:
        text = (
            f"target_modules names {quote(unused[0])}, for which there are no weights ({len(unused)} such)."
        )
        # Lists for several architectures are usual: only some of the names need to exist.
        level = Severity.WARNING if used else Severity.ERROR
        yield finding("AD-TARGET", text, subject=unused[0], severity=level)
    if strays:
        text = f"{len(strays)} adapted modules are not in target_modules, {quote(strays[0])} first."
        yield finding("AD-TARGET", text, subject=strays[0])


def _check_layers(pairs: Mapping[str, _Pair]) -> Iterator[Finding]:
    """The same module of all layers has one width; another is told, since a few models do vary."""
    widths: dict[str, dict[tuple[int, int], str]] = {}
    for module, pair in pairs.items():
        a, b = pair.sides.get("A"), pair.sides.get("B")
        if a is not None and b is not None and len(a.shape) == len(b.shape) == 2:
            kind = re.sub(r"\.\d+(?=\.)", ".*", module)
            widths.setdefault(kind, {}).setdefault((a.shape[1], b.shape[0]), module)
    for kind, seen in widths.items():
        if len(seen) > 1:
            (first, _), (second, where) = list(seen.items())[:2]
            text = f"{quote(kind)} goes from {first[0]} to {first[1]} in one layer, {second[0]} to {second[1]} in another."
            yield finding("AD-LAYERS", text, subject=where)
            return
