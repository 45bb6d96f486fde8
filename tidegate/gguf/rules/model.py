"""Rules about the model in the file: architecture, tensors, vocabulary, numbers, memory."""

from tidegate.gguf.findings import Category, Rule, Severity
from tidegate.gguf.rules.container import DOWNLOAD_AGAIN, EXPORT_AGAIN

ERROR, WARNING = Severity.ERROR, Severity.WARNING
FORMAT, MEMORY, NUMBERS = Category.FORMAT, Category.MEMORY, Category.NUMBERS

TRAIN_AGAIN = (
    "Look at the same tensor in the checkpoint that was converted. If it is sound there, convert and quantize again; "
    "if not, go back to an earlier checkpoint, and train with bf16 or a lower learning rate from there."
)
LOST = (
    "Look at the same tensor in the checkpoint that was converted. If it is sound there, convert and quantize again; "
    "if not, merge the adapter or save the checkpoint again."
)

MODEL_RULES = (
    Rule("S-REQKEY", ERROR, FORMAT, "The engine refuses the model without this key.", EXPORT_AGAIN),
    Rule("S-KEYTYPE", ERROR, FORMAT, "The engine reads this key as another type and refuses or aborts.",
         EXPORT_AGAIN),
    Rule("S-ARCH", ERROR, FORMAT, "The engine of this version does not know the architecture. The file may be sound.",
         "Use an architecture that the pinned engine supports, or update the engine first."),
    Rule("S-KIND", ERROR, FORMAT, "The file is of a kind that cannot answer chat requests on its own. It may be sound.",
         "Deploy the language model itself; keep this file for the tool that it was made for."),
    Rule("S-RANGE", ERROR, FORMAT, "The value is outside of what the engine accepts; some values abort it.",
         EXPORT_AGAIN),
    Rule("S-HEADS", ERROR, FORMAT, "Head counts, head sizes and widths must fit together.", EXPORT_AGAIN),
    Rule("S-ROPE", ERROR, FORMAT, "The rotary settings do not fit the heads or are out of range.", EXPORT_AGAIN),
    Rule("S-MISSING", ERROR, FORMAT, "The engine needs this tensor.", EXPORT_AGAIN),
    Rule("S-EXTRA", ERROR, FORMAT, "The engine refuses a model with tensors that it does not use.", EXPORT_AGAIN),
    Rule("S-SHAPE", ERROR, FORMAT, "The tensor has another shape than the metadata says.", EXPORT_AGAIN),
    Rule("S-NORM", ERROR, FORMAT, "Norms and biases are F32; others abort the engine at the first token.",
         EXPORT_AGAIN),
    Rule("S-WEIGHT", ERROR, FORMAT, "Weights of this type cannot be multiplied; the engine aborts.", EXPORT_AGAIN),
    Rule("S-FTYPE", WARNING, FORMAT, "general.file_type does not name the type most weights have.", EXPORT_AGAIN),
    Rule("S-QVER", WARNING, FORMAT, "Quantized files state quantization version 2.", EXPORT_AGAIN),
    Rule("V-MISSING", ERROR, FORMAT, "The tokenizer is incomplete.", EXPORT_AGAIN),
    Rule("V-MODEL", ERROR, FORMAT, "The engine does not know this kind of tokenizer.",
         "Use a tokenizer that the pinned engine supports, or update the engine first."),
    Rule("V-TYPE", ERROR, FORMAT, "A tokenizer array has another type; old engines read beyond its end.",
         EXPORT_AGAIN),
    Rule("V-LEN", ERROR, FORMAT, "Scores and token types have one item for each token.", EXPORT_AGAIN),
    Rule("V-DUP", ERROR, FORMAT, "Two tokens have the same text; the engine aborts.", EXPORT_AGAIN),
    Rule("V-SIZE", ERROR, FORMAT, "The embedding has one row for each token.",
         "Resize the embedding to the tokenizer, or export with the tokenizer it was trained with."),
    Rule("V-RANGE", ERROR, FORMAT, "A special token id points outside of the vocabulary.", EXPORT_AGAIN),
    Rule("V-EMPTY", WARNING, FORMAT, "Tokens have 1 to 65536 bytes.", EXPORT_AGAIN),
    Rule("V-HUGE", ERROR, FORMAT, "No known tokenizer has so many tokens; going through them would use up memory.",
         "Look at the origin of the file, or export the model again with its own tokenizer."),
    Rule("V-KIND", ERROR, FORMAT, "Token types are the numbers 1 to 6.", EXPORT_AGAIN),
    Rule("V-EOS", ERROR, FORMAT, "Without an end-of-turn token that the model was trained with, answers do not end.",
         "Set tokenizer.ggml.eos_token_id to the token with which the chat template ends a turn: name that token as "
         "eos_token in tokenizer_config.json and convert again, or run `gguf-set-metadata FILE "
         "tokenizer.ggml.eos_token_id ID` of the Python package gguf."),
    Rule("V-BOS", WARNING, FORMAT, "The beginning-of-text token is missing or is no control token.", EXPORT_AGAIN),
    Rule("V-BYTES", WARNING, FORMAT, "Without byte tokens the engine cannot encode unknown characters.",
         EXPORT_AGAIN),
    Rule("V-MERGE", ERROR, FORMAT, "A merge is two pieces with a space between them.", EXPORT_AGAIN),
    Rule("N-NAN", ERROR, NUMBERS, "A NaN spreads to every later layer: the model answers with nothing.", TRAIN_AGAIN),
    Rule("N-INF", ERROR, NUMBERS, "An infinite weight turns into NaN within a layer.", TRAIN_AGAIN),
    Rule("N-ZERO", ERROR, NUMBERS, "A weight tensor of only zeros switches a part of the model off.", LOST),
    Rule("N-CONST", WARNING, NUMBERS, "A weight tensor of one repeated value was never trained.", LOST),
    Rule("N-SPARSE", WARNING, NUMBERS, "A large part of a weight tensor is zero: pruned on purpose, or lost.",
         LOST),
    Rule("N-HUGE", WARNING, NUMBERS, "Weights of this size overflow in half precision, or stand out like a flipped "
         "bit.", TRAIN_AGAIN),
    Rule("N-RANGE", ERROR, NUMBERS, "A block scale is not a number of its format.", DOWNLOAD_AGAIN),
    Rule("M-LIMIT", ERROR, MEMORY, "The policy allows no model that needs so much memory.",
         "Use a smaller context, fewer parallel sequences or a stronger quantization, or change the policy."),
    Rule("M-CROSS", WARNING, MEMORY, "The estimate and the engine's own plan differ by more than 2 %.",
         "Plan with the larger of the two figures, and report the architecture so that the formula is mended."),
    Rule("M-CONTEXT", WARNING, MEMORY, "The model was trained with a shorter context than the service asks for.",
         "Lower context_tokens of the service to the trained length."),
)  # fmt: skip
