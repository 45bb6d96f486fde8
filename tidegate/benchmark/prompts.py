"""Made-up prompts of a wanted length, from a list of plain words and a seed. Pure.

Every prompt begins with words of its own, so that no server answers it from the cache of another one. Their
length is in words: how many tokens they are, only the server's tokenizer knows, and its count is recorded.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_TEXT = (
    "river stone window garden letter winter summer market bridge candle engine forest harbor island jacket kettle "
    "ladder meadow needle orange pencil quarry rabbit saddle tunnel valley wagon yellow anchor basket copper "
    "desert eagle feather glacier hammer insect jungle kitchen lantern mirror novel ocean paper quiet rocket "
    "silver thunder uncle violin whistle autumn button castle dragon elbow fabric guitar hollow ivory journey "
    "keeper lemon marble nation opera planet question ribbon signal timber umbrella village water cotton "
    "border camera dinner empire flower ground history image justice knowledge language machine nature office "
    "people quality reason science teacher union value weather answer better city doctor early family great "
    "house idea join kind light money night other place quick road school table under voice world year above "
    "begin carry decide every follow gather happen inside little moment never often perhaps rather several "
    "together usual visit wonder young across behind center during either friend general however instead large "
    "measure number order picture remember second toward until warm yesterday"
)
WORDS = tuple(_TEXT.split())
TOKENS_PER_WORD = 1.3
"""Of English in common vocabularies. Used only to choose how long a made-up prompt is, never to count tokens."""
MAX_WORDS = 200_000


def words_for_tokens(tokens: int) -> int:
    """About how many words make so many tokens."""
    return min(MAX_WORDS, max(1, round(tokens / TOKENS_PER_WORD)))


def made_up_prompts(words: int, count: int, generator: "np.random.Generator") -> list[str]:
    """`count` prompts of `words` words each."""
    picks: list[list[int]] = generator.integers(len(WORDS), size=(count, words)).tolist()
    return [" ".join(WORDS[pick] for pick in row) for row in picks]


def made_up_text(words: int, seed: int, *key: int) -> str:
    """One text that seed and key decide, whatever was made before it."""
    import numpy as np

    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    return made_up_prompts(words, 1, generator)[0]
