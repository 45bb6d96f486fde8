"""What a model is asked when it is validated, and what each question is for."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest

from tidegate.quality import Bank, Question
from tidegate.quality.wording import TOP_LOGPROBS, is_by_first_token
from tidegate.validation.engine_report import Query
from tidegate.validation.report import Profile

SHORT_TOKENS = 48
STOP_TOKENS = 256
BANK_TOKENS, MOST_BANK_TOKENS = 64, 512
REPEATED = 3
DEEP_FACTOR = 2

GENERAL_PROMPTS = (
    "Hello.",
    "What is two plus two?",
    "What is the capital of France?",
    "Name three colours.",
    "What is the opposite of hot?",
    "Is water wet? Answer yes or no.",
)
SYSTEM_PROMPT = "You are a helpful assistant. Answer briefly."


def usual_queries(
    profile: Profile, context_tokens: int, prompts: Sequence[str] | None = None
) -> tuple[Query, ...]:
    """Single questions (some twice), a system message, two turns, and one with room to come to its end.

    A fine-tuned model may know nothing outside its subject: give `prompts` from its own bank.
    """
    if profile == "quick":
        return ()
    asked = tuple(GENERAL_PROMPTS if prompts is None else prompts)
    if not asked:
        return ()
    room = max(1, min(SHORT_TOKENS, context_tokens // 2))
    repeated = len(asked) if profile == "deep" else REPEATED
    queries = [
        Query(f"ask-{number}", (("user", prompt),), "one question", room, is_repeated=number <= repeated)
        for number, prompt in enumerate(asked, start=1)
    ]
    first, last = asked[0], asked[-1]
    queries += [
        Query("system", (("system", SYSTEM_PROMPT), ("user", last)), "a system message", room),
        Query(
            "turns",
            (("user", first), ("assistant", "Yes."), ("user", last)),
            "a second turn",
            room,
        ),
        Query("stop", (("user", first),), "whether it comes to an end", _stop_room(context_tokens)),
    ]
    return tuple(queries)


def _stop_room(context_tokens: int) -> int:
    return max(1, min(STOP_TOKENS, context_tokens // 2))


def bank_queries(bank: Bank, context_tokens: int, most: int | None = None) -> tuple[Query, ...]:
    """Questions of a bank, one of each topic in turn: a bank that is cut short still covers its topics."""
    ordered = by_topic_in_turn([question for question in bank.questions if not unaskable(question)])
    return tuple(bank_query(question, context_tokens) for question in ordered[: most or len(ordered)])


def bank_query(question: Question, context_tokens: int, max_tokens: int = BANK_TOKENS) -> Query:
    """One question of a bank, as the engine is asked it."""
    wanted = 1 if is_by_first_token(question) else question.max_tokens or max_tokens
    return Query(
        question.id,
        tuple((turn.role, turn.content or "") for turn in question.turns),
        question.topic,
        max(1, min(wanted, MOST_BANK_TOKENS, context_tokens // 2)),
        top_logprobs=TOP_LOGPROBS if question.wants_logprobs else 0,
    )


def unaskable(question: Question) -> str:
    """Why a file cannot be asked this; empty when it can. Tools need a server that knows the model's call format."""
    calls = any(turn.tool_calls or turn.role == "tool" for turn in question.turns)
    return "tools are asked of an endpoint only" if question.tools or calls else ""


def by_topic_in_turn(questions: Sequence[Question]) -> list[Question]:
    topics: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        topics[question.topic].append(question)
    rounds = zip_longest(*topics.values())
    return [question for one_round in rounds for question in one_round if question is not None]
