"""Rules about LoRA adapters, whether they come as GGUF or as a PEFT folder."""

from tidegate.gguf.findings import Category, Rule, Severity
from tidegate.gguf.rules.container import DOWNLOAD_AGAIN

ERROR, WARNING = Severity.ERROR, Severity.WARNING
FORMAT, NUMBERS = Category.FORMAT, Category.NUMBERS

SAVE_AGAIN = (
    "Save the adapter again with `model.save_pretrained(FOLDER)` of PEFT and register the whole folder."
)
CONVERT_AGAIN = (
    "Convert the adapter again with a current convert_lora_to_gguf.py and the base that it was trained on."
)
WRONG_BASE = (
    "Name the base model that the adapter was trained on, or train the adapter on the base that is served."
)

ADAPTER_RULES = (
    Rule("AD-CONFIG", ERROR, FORMAT, "Without its configuration nobody knows how strongly an adapter applies, and to "
         "what.", SAVE_AGAIN),
    Rule("AD-KIND", ERROR, FORMAT, "The engines and platforms apply LoRA adapters only.",
         "Merge the adapter into its base model and release the merged model."),
    Rule("AD-RANK", ERROR, FORMAT, "The rank is a whole number from 1 to 1024.", SAVE_AGAIN),
    Rule("AD-ALPHA", ERROR, FORMAT, "The strength alpha is a finite number above zero; with zero or none the engine "
         "ignores the scaling that the adapter was trained with.", SAVE_AGAIN),
    Rule("AD-SCALE", WARNING, FORMAT, "The adapter is applied far more strongly than is usual; answers may fall apart.",
         "Check lora_alpha and r against the training run."),
    Rule("AD-TARGET", ERROR, FORMAT, "The modules that the configuration names are not those that the weights are for.",
         SAVE_AGAIN),
    Rule("AD-BASE", ERROR, FORMAT, "An adapter works with one base model only, and this one does not say which.",
         "Set base_model_name_or_path to the published name of the base model."),
    Rule("AD-TASK", WARNING, FORMAT, "The adapter was not trained to write text.",
         "Train it with task_type CAUSAL_LM, or check that this is the right adapter."),
    Rule("AD-OPTION", WARNING, FORMAT, "Not every engine knows this option of PEFT; some ignore it silently and answer "
         "differently from the trained model.", "Train without it, or merge the adapter into its base model."),
    Rule("AD-ARCH", ERROR, FORMAT, "The adapter is for another architecture, or for one that the engine does not know.",
         WRONG_BASE),
    Rule("AD-PAIR", ERROR, FORMAT, "Each adapted weight has two matrices, A and B; one alone cannot be applied.",
         SAVE_AGAIN),
    Rule("AD-SHAPE", ERROR, FORMAT, "The matrices A and B of a pair do not fit each other, the rank, or the base model.",
         WRONG_BASE),
    Rule("AD-LAYERS", WARNING, FORMAT, "The same module has different widths in different layers, which few models have.",
         "Check that the adapter was saved whole and from one training run."),
    Rule("AD-DTYPE", ERROR, FORMAT, "Adapters hold floating-point numbers of 16 or 32 bits.", SAVE_AGAIN),
    Rule("AD-TENSOR", ERROR, FORMAT, "The engine refuses an adapter with tensors that are no LoRA matrices.", SAVE_AGAIN),
    Rule("AD-MODEL", ERROR, FORMAT, "The adapter changes a weight that the base model does not have.", WRONG_BASE),
    Rule("AD-UNTRAINED", ERROR, NUMBERS, "B matrices begin as zeros; while they are zero the adapter changes nothing.",
         "Check that training ran and that the trained weights were saved."),
    Rule("AD-TOKENS", ERROR, FORMAT, "The invocation tokens of an adapter are an array of u32.", DOWNLOAD_AGAIN),
)  # fmt: skip
