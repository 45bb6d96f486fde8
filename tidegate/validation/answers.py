"""What the engine's child said to one question, as an answer that can be scored. Pure."""

from tidegate.quality import Answer, Question, TokenLogprob
from tidegate.validation.engine_report import EngineAnswer
from tidegate.validation.queries import unaskable


def answer_of(
    question: Question, said: EngineAnswer | None, *, model: str | None = None, engine: str | None = None
) -> Answer:
    """An answer, or an error where none was given or its numbers are not finite."""
    if problem := unaskable(question):
        return Answer(error=problem)
    if said is None or said.problem:
        return Answer(error=said.problem if said is not None else "not asked")
    if said.finish not in ("stop", "length"):
        return Answer(error="the numbers are not finite")
    text, finish = _until_stop(question, said.text, said.finish)
    return Answer(
        text=text,
        model=model,
        engine=engine,
        elapsed_ms=said.ttft_ms + _decode_ms(said),
        finish=finish,
        tokens=len(said.tokens),
        prompt_tokens=said.prompt_tokens,
        top_logprobs=tuple(TokenLogprob(token=one.token, logprob=one.logprob) for one in said.top_logprobs),
        mean_logprob=said.mean_logprob,
    )


def _until_stop(question: Question, text: str, finish: str) -> tuple[str, str]:
    """The text before the first of the question's stop sequences: a server would have ended there."""
    places = [place for stop in question.stop if (place := text.find(stop)) >= 0]
    return (text[: min(places)], "stop") if places else (text, finish)


def _decode_ms(said: EngineAnswer) -> float:
    later = len(said.tokens) - 1
    return 1000 * later / said.tokens_per_second if later > 0 and said.tokens_per_second > 0 else 0.0
