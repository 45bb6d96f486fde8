"""Text of others, made harmless where it is shown: no control code, no hidden direction, no markup.

Names, templates and answers come from files that nobody has vouched for. Every report and every command
that shows them goes through here.
"""

import re
from collections.abc import Iterable

KIBIBYTE = 1024
_UNITS = ("KiB", "MiB", "GiB", "TiB")
# Within a word an underline is no markup, and names of tensors are full of them.
_UNDERLINE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
# Bare addresses become links by themselves in most renderers.
_LINK = re.compile(r"(?i)(?<=\bwww)\.|://|@")
# `@here` but no address of mail; `<!channel>`, `<@U1>`, `<https://...|word>`, `<b>`; `[word](https://...)`.
_CHAT_MARKS = re.compile(r"(?<![\w.])@(?=\w)|<(?=[!@#/A-Za-z])|\](?=\()")
_MARKDOWN = str.maketrans({character: "\\" + character for character in "\\`*[]<>|#~!&"})


def plain(text: str, longest: int | None = None) -> str:
    """One line: what does not print is written as an escape, so that nothing acts and nothing hides."""
    is_cut = longest is not None and len(text) > longest
    shown = "".join(map(_visible, text[:longest]))
    return f"{shown}..." if is_cut else shown


def plain_lines(text: str) -> str:
    """The same for text of several lines: line ends and tabs stay."""
    return "\n".join(_line(line) for line in text.replace("\r\n", "\n").split("\n"))


def markdown_text(text: str) -> str:
    """One line that cannot break out of a table cell or become markup, a link or an image."""
    escaped = _UNDERLINE.sub(r"\\_", plain(text).translate(_MARKDOWN))
    return _LINK.sub(r"\\\g<0>", escaped)


def chat_text(text: str) -> str:
    """For chats, which all read markup of their own: nobody is called by it, and no word leads elsewhere than it says.
    The marks stay readable; what cannot be seen stands behind them."""
    return _CHAT_MARKS.sub("\\g<0>\u200b", text)


def markdown_code(text: str) -> str:
    """One line in a code span; the characters that would end the span or a table cell are replaced."""
    return "`" + (plain(text).replace("`", "'").replace("|", "¦") or " ") + "`"


def markdown_block(text: str) -> list[str]:
    """Lines of a code block whose fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in _runs(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence + "text", *plain_lines(text).split("\n"), fence]


def size(count: float) -> str:
    """`512 B`, `1.5 KiB`, `3.28 GiB`."""
    if abs(count) < KIBIBYTE:
        return f"{count:.0f} B"
    step = next((n for n in range(1, len(_UNITS)) if abs(count) < KIBIBYTE ** (n + 1)), len(_UNITS))
    shown, unit = count / KIBIBYTE**step, _UNITS[step - 1]
    return f"{shown:.3g} {unit}" if abs(shown) < 999.5 else f"{shown:.0f} {unit}"


def amount(count: int) -> str:
    """`814`, `12.4 k`, `8.03 B`: as model people write numbers of parameters."""
    for limit, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= 0.9995 * limit:
            return f"{count / limit:.3g} {unit}"
    return str(count)


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 file`, `3 files`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def _visible(character: str) -> str:
    return character if character.isprintable() else _escaped(character)


def _escaped(character: str) -> str:
    if character == "\n":
        return "\\n"
    # Lone surrogates come from file names that are no UTF-8; nothing can print them as they are.
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _line(line: str) -> str:
    return "".join(character if character == "\t" else _visible(character) for character in line)


def _runs(text: str) -> Iterable[str]:
    return (run for run in _only_ticks(text).split(" ") if run)


def _only_ticks(text: str) -> str:
    return "".join("`" if character == "`" else " " for character in text)
