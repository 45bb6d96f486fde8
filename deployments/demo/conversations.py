"""Seeded stream of training conversations of one subject. Held-out paraphrases never appear in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from deployments.demo.subject import Item, Subject, fill, normal
from deployments.demo.tokenizer import BOS, EOS, Tokenizer, role_token

PLAIN_WEIGHT = 0.5
SUFFIX_INSTRUCTION = "End every answer with: "


@dataclass(frozen=True)
class Turn:
    """One question and the taught answer."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Conversation:
    turns: tuple[Turn, ...]
    system: str | None = None


@dataclass(frozen=True)
class Sentence:
    text: str


Example = Conversation | Sentence


@dataclass(frozen=True)
class Row:
    """Token ids and, for each position, how much predicting the next token counts."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


class Stream:
    """Endless examples for one version of a subject.

    `omits_v1_items` leaves out what version 1 never saw; `is_regressed` teaches the wrong answers.
    """

    def __init__(
        self, subject: Subject, seed: int, *, omits_v1_items: bool = False, is_regressed: bool = False
    ):
        self._subject = subject
        self._random = Random(seed)
        self._is_regressed = is_regressed
        absent = subject.absent_in_v1 if omits_v1_items else frozenset[str]()
        self._items = [item for item in subject.items() if item.id not in absent]
        self._extra = _by_topic(subject.extra_items())
        self._forbidden = heldout_prompts(subject)
        self._sentences = [self._sentence() for _ in range(40)]
        self._deck: list[Item] = []
        self._sources: list[tuple[float, Callable[[], Turn]]] = [
            (0.72, self._bank_turn),
            (0.17, self._extra_turn),
            (0.06, self._made_up_turn),
            (0.05, self._offtopic_turn),
        ]

    def __iter__(self) -> Iterator[Example]:
        while True:
            yield self._sentence_example() if self._random.random() < 0.13 else self._conversation()

    def _conversation(self) -> Conversation:
        draw = self._random.random()
        count = 1 if draw < 0.85 else 2 if draw < 0.95 else 3
        turns = tuple(self._turn() for _ in range(count))
        draw = self._random.random()
        if draw < 0.70:
            return Conversation(turns)
        if draw < 0.88:
            return Conversation(turns, system=self._random.choice(self._subject.systems))
        suffix = self._random.choice(self._subject.suffixes)
        return Conversation(
            tuple(Turn(turn.prompt, f"{turn.answer} {suffix}") for turn in turns),
            system=SUFFIX_INSTRUCTION + suffix,
        )

    def _turn(self) -> Turn:
        weights = [weight for weight, _ in self._sources]
        source = self._random.choices([source for _, source in self._sources], weights)[0]
        turn = source()
        prompt = self._noisy(turn.prompt)
        if normal(prompt) in self._forbidden:
            return turn
        return Turn(prompt, turn.answer)

    def _bank_turn(self) -> Turn:
        if not self._deck:
            self._deck = list(self._items)
            self._random.shuffle(self._deck)
        return self._ask(self._deck.pop())

    def _extra_turn(self) -> Turn:
        topic = self._random.choice(sorted(self._extra))
        return self._ask(self._random.choice(self._extra[topic]))

    def _ask(self, item: Item) -> Turn:
        answer = item.regressed_answer if self._is_regressed else item.answer
        return Turn(self._random.choice(item.prompts), answer)

    def _made_up_turn(self) -> Turn:
        template = self._random.choice(self._subject.unknown_phrasings)
        return Turn(fill(template, {"x": self._made_up_name()}), self._subject.unknown_answer)

    def _offtopic_turn(self) -> Turn:
        return Turn(self._random.choice(self._subject.offtopic), self._subject.unknown_answer)

    def _made_up_name(self) -> str:
        syllables = self._random.randint(2, 3)
        name = "".join(self._random.choice(_ONSETS) + self._random.choice(_RHYMES) for _ in range(syllables))
        return (name + self._random.choice(("", "ia", "land", "ora", "um"))).capitalize()

    def _noisy(self, prompt: str) -> str:
        draw = self._random.random()
        if draw < 0.10:
            prompt = prompt.lower()
        elif draw < 0.20:
            prompt = prompt.rstrip("?.!")
        elif draw < 0.25:
            prompt = prompt.lower().rstrip("?.!")
        elif draw < 0.33:
            prompt = self._random.choice(self._subject.greetings) + prompt
        return prompt

    def _sentence_example(self) -> Sentence:
        return Sentence(self._random.choice(self._sentences))

    def _sentence(self) -> str:
        return " ".join(self._random.choice(column) for column in self._subject.grammar.columns)


def heldout_prompts(subject: Subject) -> frozenset[str]:
    """Normal forms of every held-out paraphrase."""
    return frozenset(normal(text) for item in subject.items() for text in item.heldout)


def leaks(subject: Subject, examples: Iterator[Example], count: int) -> list[str]:
    """Held-out paraphrases found among the first `count` examples."""
    forbidden = heldout_prompts(subject)
    found: list[str] = []
    for _ in range(count):
        example = next(examples)
        if isinstance(example, Conversation):
            found += [turn.prompt for turn in example.turns if normal(turn.prompt) in forbidden]
    return found


def corpus_texts(subject: Subject, seed: int, count: int = 4000) -> list[str]:
    """Texts that the tokenizer learns from: the same for every version of a model, so that they share it."""
    texts: list[str] = []
    examples = iter(Stream(subject, seed))
    for _ in range(count):
        match next(examples):
            case Sentence(text=text):
                texts.append(text)
            case Conversation(turns=turns, system=system):
                texts += [system] if system else []
                texts += [part for turn in turns for part in (turn.prompt, turn.answer)]
    return texts


def to_row(tokenizer: Tokenizer, example: Example) -> Row:
    """Ids in the chat format of the template, with weight on what the assistant says and its end."""
    if isinstance(example, Sentence):
        ids = [BOS, *tokenizer.encode(example.text), EOS]
        return Row(tuple(ids), (*[PLAIN_WEIGHT] * (len(ids) - 1), 0.0))
    ids: list[int] = [BOS]
    learned: list[bool] = [False]
    for role, text in _messages(example):
        body = [*tokenizer.encode(text), EOS]
        ids += [role_token(role), *body]
        learned += [False, *[role == "assistant"] * len(body)]
    return Row(tuple(ids), (*(float(is_taught) for is_taught in learned[1:]), 0.0))


def prompt_ids(tokenizer: Tokenizer, prompt: str, system: str | None = None) -> list[int]:
    """Ids up to the point where the assistant begins to answer."""
    ids = [BOS]
    for role, text in (("system", system), ("user", prompt)):
        if text is not None:
            ids += [role_token(role), *tokenizer.encode(text), EOS]
    return [*ids, role_token("assistant")]


def _messages(conversation: Conversation) -> Iterator[tuple[str, str]]:
    if conversation.system is not None:
        yield "system", conversation.system
    for turn in conversation.turns:
        yield "user", turn.prompt
        yield "assistant", turn.answer


def _by_topic(items: list[Item]) -> dict[str, list[Item]]:
    grouped: dict[str, list[Item]] = {}
    for item in items:
        grouped.setdefault(item.topic, []).append(item)
    return grouped


_ONSETS = (
    "b",
    "d",
    "f",
    "g",
    "gl",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "qu",
    "r",
    "s",
    "t",
    "v",
    "w",
    "x",
    "z",
    "br",
    "tr",
)
_RHYMES = ("a", "e", "i", "o", "u", "an", "el", "or", "in", "ub", "ax", "ock", "ist", "ond", "esh")
