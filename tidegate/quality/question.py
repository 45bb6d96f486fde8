"""One question of a bank: what is asked, and by which scorers the answer is judged."""

from typing import Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tidegate.quality.scorers import SCORERS, Expect, Wanted, options_fault
from tidegate.quality.scorers.choices import LETTERS
from tidegate.quality.scorers.filters import filter_fault
from tidegate.quality.scorers.judged import JUDGE

GROUP = "group"
MAX_SCORERS, MAX_DEPTH = 50, 3
CHOICE_INSTRUCTION = "Answer with the letter of the right choice only."


class Message(BaseModel):
    """One turn of a conversation, as the chat API takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | None = None
    name: str | None = None
    tool_calls: tuple[dict[str, Any], ...] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and not self.tool_calls:
            raise ValueError(f"a message of the {self.role} has no content")
        return self


class ScorerSpec(BaseModel):
    """A scorer as one question uses it. `group` has scorers of its own and counts as one."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str
    expect: Expect | None = Field(
        default=None, description="What this scorer expects; the question's if absent."
    )
    options: dict[str, Any] = Field(default_factory=dict)
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False, description="0: shown, but not counted.")
    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Value from which a graded scorer says right; of a group: weighted share instead of all.",
    )
    negate: bool = Field(default=False, alias="not", description="Right when the scorer says wrong.")
    metric: str | None = Field(default=None, min_length=1, description="Name under which it is shown.")
    scorers: tuple["ScorerSpec", ...] = ()

    @property
    def label(self) -> str:
        return self.metric or (f"not {self.name}" if self.negate else self.name)


class FilterSpec(BaseModel):
    """What is done to an answer before it is scored; the names are those of lm-eval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class Question(BaseModel):
    """One question and how its answer is scored.

    Either `prompt` (with `system`) or `messages` is asked; of messages, `prompt` is what the user says last.
    Either `scorer` (with `expect`) or `scorers` judges: without a `threshold` every counted scorer must say right,
    with one the weighted mean of their values must reach it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    topic: str = Field(default="general", min_length=1)
    prompt: str = Field(min_length=1)
    system: str | None = None
    messages: tuple[Message, ...] = ()
    expect: Expect | None = None
    scorer: str = Field(default="", description="Short for one scorer without options.")
    scorers: tuple[ScorerSpec, ...] = ()
    threshold: float | None = Field(default=None, ge=0, le=1)
    choices: tuple[str, ...] = Field(
        default=(), description="Offered answers; their letters are A, B, C, ..."
    )
    has_choices_in_prompt: bool = Field(
        default=False, description="The prompt lists the choices itself; else they are added to it."
    )
    filters: tuple[FilterSpec, ...] = ()
    cluster: str | None = Field(
        default=None, min_length=1, description="Questions of one document or template share it."
    )
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    tags: tuple[str, ...] = ()
    max_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, data: Any) -> Any:
        """The prompt of messages, and the topic of tags, so that no reader must ask which there is."""
        if not isinstance(data, dict):
            return data
        filled = dict(cast("dict[str, Any]", data))
        if filled.get("messages") and "prompt" not in filled:
            filled["prompt"] = _last_user_text(filled["messages"])
        tags = filled.get("tags")
        if "topic" not in filled and isinstance(tags, list | tuple) and tags:
            filled["topic"] = tags[0]
        return filled

    @field_validator("choices")
    @classmethod
    def _few_choices(cls, choices: tuple[str, ...]) -> tuple[str, ...]:
        if choices and not 2 <= len(choices) <= len(LETTERS):
            raise ValueError(f"there must be 2 to {len(LETTERS)} choices")
        if any(not choice.strip() for choice in choices) or len(set(choices)) < len(choices):
            raise ValueError("a choice is empty or there twice")
        return choices

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if self.messages and self.system is not None:
            raise ValueError("messages hold the system message already; system must be absent")
        if self.messages and self.messages[-1].role not in ("user", "tool"):
            raise ValueError("the last message must be of the user or of a tool")
        if bool(self.scorer) == bool(self.scorers):
            raise ValueError("either scorer or scorers must be given")
        faults = (filter_fault(step.name, step.options) for step in self.filters)
        if fault := next((one for one in faults if one), "") or specs_fault(self, self.specs):
            raise ValueError(fault)
        return self

    @property
    def specs(self) -> tuple[ScorerSpec, ...]:
        """The scorers, however they were written."""
        return self.scorers or (ScorerSpec(name=self.scorer),)

    @property
    def turns(self) -> tuple[Message, ...]:
        """What is sent to a model: the whole conversation, with the choices where the prompt does not list them."""
        turns = self.messages
        if not turns:
            system = (Message(role="system", content=self.system),) if self.system else ()
            turns = (*system, Message(role="user", content=self.prompt))
        if not self.choices or self.has_choices_in_prompt:
            return turns
        listed = "\n".join(f"{LETTERS[n]}) {choice}" for n, choice in enumerate(self.choices))
        last = turns[-1]
        text = f"{last.content}\n\n{listed}\n\n{CHOICE_INSTRUCTION}"
        return (*turns[:-1], last.model_copy(update={"content": text}))

    @property
    def wants_logprobs(self) -> bool:
        """Whether a scorer looks at the candidates for the first token."""
        return any(spec.name == "choice_logprobs" for spec in flat(self.specs))

    @property
    def counted_judges(self) -> tuple[ScorerSpec, ...]:
        """Scorers that only another model can tell."""
        return tuple(spec for spec in flat(self.specs) if spec.name == JUDGE and spec.weight > 0)

    @property
    def is_judged_alone(self) -> bool:
        """Only another model's opinion decides: shown, and never a gate."""
        counted = [spec for spec in flat(self.specs) if spec.name != GROUP and spec.weight > 0]
        return all(spec.name == JUDGE for spec in counted)


def flat(specs: tuple[ScorerSpec, ...]) -> list[ScorerSpec]:
    """Every scorer, those inside groups included."""
    found: list[ScorerSpec] = []
    for spec in specs:
        found.append(spec)
        found.extend(flat(spec.scorers))
    return found


def wanted_by(question: Question, spec: ScorerSpec) -> Wanted[Any]:
    """The question as one of its scorers sees it."""
    scorer = SCORERS[spec.name]
    return Wanted(
        question.expect if spec.expect is None else spec.expect,
        scorer.options.model_validate(spec.options),
        question.choices,
        scorer.threshold if spec.threshold is None else spec.threshold,
        question.tools,
    )


def specs_fault(question: Question, specs: tuple[ScorerSpec, ...], depth: int = 0) -> str:
    """The first reason why these scorers cannot judge this question; empty when they can."""
    if depth > MAX_DEPTH or len(specs) > MAX_SCORERS:
        return f"there are more than {MAX_SCORERS} scorers, or groups more than {MAX_DEPTH} deep"
    if not any(spec.weight > 0 for spec in specs):
        return "no scorer counts: each has the weight 0"
    for spec in specs:
        if fault := _spec_fault(question, spec, depth):
            return fault
    return ""


def _spec_fault(question: Question, spec: ScorerSpec, depth: int) -> str:
    if spec.name == GROUP:
        return specs_fault(question, spec.scorers, depth + 1) if spec.scorers else "a group has no scorers"
    if spec.scorers:
        return f"scorer '{spec.name}' has scorers of its own; only '{GROUP}' has"
    if spec.name not in SCORERS:
        return f"scorer '{spec.name}' is unknown; use one of {', '.join(SCORERS)}"
    if fault := options_fault(spec.name, spec.options):
        return f"{fault} (scorer '{spec.name}')"
    scorer = SCORERS[spec.name]
    if spec.threshold is not None and not scorer.is_graded:
        return f"scorer '{spec.name}' says right or wrong only: a threshold has no meaning for it"
    wanted = wanted_by(question, spec)
    if scorer.needs_expect and wanted.expect is None:
        return f"expect: is missing (scorer '{spec.name}')"
    fault = scorer.fault(wanted)
    return f"{fault} (scorer '{spec.name}')" if fault else ""


def _last_user_text(messages: Any) -> Any:
    """What the user says last. Anything malformed is left to the check of `messages` itself."""
    if not isinstance(messages, list | tuple):
        return "?"
    for message in reversed(cast("list[Any]", messages)):
        said: Any = message.model_dump() if isinstance(message, Message) else message
        if isinstance(said, dict) and cast("dict[str, Any]", said).get("role") == "user":
            return cast("dict[str, Any]", said).get("content") or "?"
    return "?"
