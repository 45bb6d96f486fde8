"""What a policy says about answers and about the distribution behind them: the parts `quality` and `drift`.

Pure values; `policy.Policy` holds them.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain.evidence import WHEN_NOT_JUDGED, WhenNotJudged
from tidegate.domain.secret_reference import SecretRef


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SlicePolicy(_Part):
    """A part of the bank that decides by itself, declared before anything was measured."""

    margin: float = Field(gt=0, lt=1, description="Loss in this slice that is tolerated; may be wider.")
    min_score: float | None = Field(
        default=None, ge=0, le=1, description="Lowest share of right answers in this slice; null: none."
    )


class QuestionBudget(_Part):
    """Most that one release may ask."""

    max_questions: int | None = Field(
        default=None,
        ge=1,
        description="Most questions of the bank that are asked, in seeded order; null: all.",
    )
    step_questions: int = Field(
        default=25, ge=1, description="Questions between two looks, where early stopping is on."
    )
    max_seconds: float = Field(default=900.0, gt=0, description="Nothing more is asked after it.")
    max_usd: float | None = Field(
        default=None, ge=0, description="Most that the new set may cost while it is asked; null: no limit."
    )
    repeats: int = Field(
        default=1,
        ge=1,
        le=20,
        description="Answers to each question whose answer differs between the models.",
    )


class JudgePolicy(_Part):
    """A model that compares answers in pairs, in both orders. Never alone: it can question a pass, not grant one."""

    url: str = Field(min_length=1, description="OpenAI-compatible URL that ends in /v1.")
    model: str = Field(min_length=1, description="Name and version that is asked for; pin it.")
    key: SecretRef | None = Field(
        default=None, description="Reference to its credential; null: none is needed."
    )
    max_pairs: int = Field(default=50, ge=1, description="Most answer pairs that it is shown.")
    max_noise: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Share of its verdicts that may turn with the order of the answers; above it, it is not heard.",
    )
    margin: float = Field(
        default=0.1, gt=0, lt=1, description="Excess of losses over wins in its view that is tolerated."
    )


class QualityPolicy(_Part):
    """Whether the candidate answers as well as the live model, question by question."""

    bank: str = Field(
        default="pipit", description="Name of the question bank (file stem in the bank folder)."
    )
    min_score: float = Field(
        default=0.7, ge=0, le=1, description="Lowest share of right answers, with or without a baseline."
    )
    margin: float = Field(
        default=0.05, gt=0, lt=1, description="Loss against the live model that is still tolerated."
    )
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="Error rate of the regression and non-inferiority tests."
    )
    max_topic_drop: float = Field(
        default=0.5, gt=0, le=1, description="A topic that loses more than this share fails alone."
    )
    slices: dict[str, SlicePolicy] = Field(
        default_factory=dict,
        description="Tag or topic -> its own margin. Only what stands here decides by itself; others are shown.",
    )
    budget: QuestionBudget = Field(default=QuestionBudget(), description="How much may be asked.")
    early_stopping: bool = Field(
        default=False,
        description="Look while questions are asked and stop when they decide, by tests made for it. An equal "
        "candidate needs a few more questions at worst, a bad one is out far sooner.",
    )
    seed: int = Field(default=0, ge=0, description="Fixes the order of the questions before any is asked.")
    judge: JudgePolicy | None = Field(default=None, description="A model that compares answers; null: none.")
    when_not_judged: WhenNotJudged = Field(default="hold", description=WHEN_NOT_JUDGED)


DriftLevel = Literal["fail", "warn"]


class DriftLimits(_Part):
    """Limits on one set of pinned texts; null decides nothing."""

    max_mean_kl: float | None = Field(
        default=None, gt=0, description="Mean Kullback-Leibler divergence per token, in nats."
    )
    max_kl_p99: float | None = Field(
        default=None, gt=0, description="99th percentile of it over tokens, in nats."
    )
    min_top1_agreement: float | None = Field(
        default=None, gt=0, le=1, description="Share of tokens whose most likely successor is the same."
    )
    max_nll_rise: float | None = Field(
        default=None,
        description="Rise of the mean negative log-likelihood per token, in nats; may be negative.",
    )

    @property
    def is_empty(self) -> bool:
        return not any(value is not None for value in self.model_dump().values())


class DriftPolicy(_Part):
    """How far the candidate's distribution may move from the live model's. Without limits nothing is measured.

    A row of the quality gate: `quality.when_not_judged` says what happens when it could not be judged.
    """

    must_not_change: DriftLimits = Field(
        default=DriftLimits(), description="On texts about which the fine-tune should change nothing."
    )
    meant_to_change: DriftLimits = Field(
        default=DriftLimits(), description="On texts that the fine-tune is for."
    )
    when_changed: DriftLevel = Field(
        default="fail", description="What going beyond a limit means on texts that must not change."
    )
    when_worse: DriftLevel = Field(
        default="warn", description="What going beyond a limit means on texts that are meant to change."
    )
    min_texts: int = Field(
        default=20, ge=2, description="Fewest texts that a verdict rests on; fewer are not judged."
    )
    max_usual_factor: float = Field(
        default=3.0,
        gt=1,
        description="Divergence of a quantization from its own f16, as a multiple of what is usual for its type.",
    )

    @property
    def is_declared(self) -> bool:
        return not (self.must_not_change.is_empty and self.meant_to_change.is_empty)
