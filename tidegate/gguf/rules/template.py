"""Rules about chat templates. A template is a program that comes with the model and sees every message."""

from tidegate.gguf.findings import Category, Rule, Severity

ERROR, WARNING = Severity.ERROR, Severity.WARNING
TEMPLATE = Category.TEMPLATE

COMPARE = "Compare the template with that of the base model and replace it."

TEMPLATE_RULES = (
    Rule("C-MISSING", ERROR, TEMPLATE, "Without a chat template engines fall back to a format that the model was "
         "not trained with.", "Export the model with its tokenizer's chat template."),
    Rule("C-TYPE", ERROR, TEMPLATE, "A chat template is one string; other types slip past scanners.", COMPARE),
    Rule("C-SIZE", ERROR, TEMPLATE, "The template is larger or more deeply nested than any honest one.", COMPARE),
    Rule("C-PARSE", ERROR, TEMPLATE, "The template is not valid Jinja; the engine cannot use it.", COMPARE),
    Rule("C-UNICODE", ERROR, TEMPLATE, "Invisible or direction-changing characters hide what the template does.",
         COMPARE),
    Rule("C-SCRIPT", ERROR, TEMPLATE, "A word mixes alphabets so that it looks like another word.", COMPARE),
    Rule("C-URL", ERROR, TEMPLATE, "The template writes an address into prompts; the model passes it on to users.",
         COMPARE),
    Rule("C-HTML", ERROR, TEMPLATE, "The template writes active markup that a page may execute.", COMPARE),
    Rule("C-BASE64", ERROR, TEMPLATE, "The template carries encoded text.", COMPARE),
    Rule("C-ATTR", ERROR, TEMPLATE, "Access to internals of Python: the first step of code execution.",
         "Treat the file as hostile. " + COMPARE),
    Rule("C-INCLUDE", ERROR, TEMPLATE, "The template loads other templates.", COMPARE),
    Rule("C-CALL", ERROR, TEMPLATE, "The template calls a function that chat engines do not offer.", COMPARE),
    Rule("C-BOMB", ERROR, TEMPLATE, "Compiling or rendering the template can use up memory or time.", COMPARE),
    Rule("C-WORD", ERROR, TEMPLATE, "The template acts on words in a message: the shape of a backdoor.", COMPARE),
    Rule("C-COUNT", ERROR, TEMPLATE, "The template speaks up after a number of messages: short tests never see it.",
         COMPARE),
    Rule("C-RANDOM", ERROR, TEMPLATE, "The template chooses by chance: the same conversation gives other prompts.",
         COMPARE),
    Rule("C-REPLACE", ERROR, TEMPLATE, "The template rewrites what people say.", COMPARE),
    Rule("C-CLOCK", ERROR, TEMPLATE, "The template acts on the date: the shape of a time bomb.", COMPARE),
    Rule("C-PHRASE", ERROR, TEMPLATE, "The template gives the model instructions against its users.", COMPARE),
    Rule("C-DROP", ERROR, TEMPLATE, "The template does not write the messages into the prompt.", COMPARE),
    Rule("C-FILTER", WARNING, TEMPLATE, "The template uses a filter or test that not every engine offers.", COMPARE),
)  # fmt: skip
