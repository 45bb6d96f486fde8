"""Writes a conversation as a model is served it: the prompt by the chat template, then the reference answer.

Used by the confined child alone, for templates that the structural checks found harmless.
"""

from collections.abc import Sequence
from typing import Any

Turns = Sequence[dict[str, str]]


class Conversations:
    """One chat template with the texts of its special tokens."""

    def __init__(self, template: str, *, bos: str, eos: str):
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self._asking: Any = Jinja2ChatFormatter(template, eos_token=eos, bos_token=bos)
        self._whole: Any = Jinja2ChatFormatter(
            template, eos_token=eos, bos_token=bos, add_generation_prompt=False
        )
        self._eos = eos

    def written(self, turns: Turns) -> tuple[str, str]:
        """The prompt up to where the model goes on, and the last turn as the template ends it.

        Templates that rewrite earlier turns or the answer itself give no common beginning: then the answer is taken
        as it is, with the end token behind it.
        Raises: ValueError when the template refuses the conversation.
        """
        try:
            prompt: str = self._asking(messages=list(turns[:-1])).prompt
            whole: str = self._whole(messages=list(turns)).prompt
        except Exception as error:
            raise ValueError(
                f"the chat template refuses it ({type(error).__name__}: {str(error)[:100]})"
            ) from error
        answer = turns[-1]["content"]
        if whole.startswith(prompt) and answer.strip() in whole[len(prompt) :]:
            return prompt, whole[len(prompt) :]
        return prompt, answer + self._eos
