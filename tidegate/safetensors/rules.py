"""Rules about artifacts other than GGUF, as data by stable id. Those about adapters are in `tidegate.gguf`."""

from tidegate.gguf import RULES as GGUF_RULES
from tidegate.gguf import Category, Finding, Rule, Severity

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
FORMAT, INTEGRITY = Category.FORMAT, Category.INTEGRITY

DOWNLOAD_AGAIN = "Fetch the file again and compare its SHA-256 with the publisher's."
SAVE_AGAIN = "Save the model again with a current release of safetensors; do not repair the file by hand."
HOSTILE = "Treat the file as hostile and look at its origin."
CONVERT = (
    "On an isolated machine that holds no secrets, load it with torch.load(weights_only=True), save it with "
    "safetensors.torch.save_file (or convert it to GGUF), and register that file."
)

_WEIGHTS = (
    Rule("ST-TRUNC", ERROR, FORMAT, "The file ends inside its header.", DOWNLOAD_AGAIN),
    Rule("ST-LENGTH", ERROR, FORMAT, "The first eight bytes give the length of the header, from 2 bytes to 16 MiB here.",
         DOWNLOAD_AGAIN),
    Rule("ST-JSON", ERROR, FORMAT, "The header is one JSON object in UTF-8.", DOWNLOAD_AGAIN),
    Rule("ST-LIMIT", ERROR, FORMAT, "The header asks for more memory or depth than that of any known model.", HOSTILE),
    Rule("ST-DUP", ERROR, FORMAT, "Two entries have one name; readers disagree about which counts.", HOSTILE),
    Rule("ST-ENTRY", ERROR, FORMAT, "A tensor has exactly dtype, shape and data_offsets.", SAVE_AGAIN),
    Rule("ST-META", ERROR, FORMAT, "__metadata__ maps names to strings only; loaders refuse anything else.", SAVE_AGAIN),
    Rule("ST-NAME", ERROR, FORMAT, "Tensor names have 1 to 512 printable characters and are no paths; tools make file "
         "names of them.", SAVE_AGAIN),
    Rule("ST-DTYPE", ERROR, FORMAT, "The format has no such dtype; loaders refuse the file.", SAVE_AGAIN),
    Rule("ST-SHAPE", ERROR, FORMAT, "Shapes are lists of at most 8 sizes whose product stays below 2^63.", HOSTILE),
    Rule("ST-EMPTY", WARNING, FORMAT, "A tensor without elements is usually the trace of a failed gathering of weights "
         "that were spread over machines.", "Save the model from one process after gathering its weights."),
    Rule("ST-BYTES", ERROR, FORMAT, "Shape times size of the dtype is the number of bytes of a tensor.", DOWNLOAD_AGAIN),
    Rule("ST-OVERLAP", ERROR, FORMAT, "Two tensors share bytes of the file.", HOSTILE),
    Rule("ST-GAP", ERROR, FORMAT, "Tensors lie back to back; a gap is damage or hidden data.", HOSTILE),
    Rule("ST-BOUNDS", ERROR, FORMAT, "Tensor data lies beyond the end of the file: it is cut off.", DOWNLOAD_AGAIN),
    Rule("ST-TRAIL", ERROR, FORMAT, "Bytes follow the last tensor: the file is damaged or something was appended.",
         DOWNLOAD_AGAIN),
    Rule("ST-NOTENSORS", ERROR, FORMAT, "The file holds no tensors.", "Register the file with the weights."),
)  # fmt: skip

_FOREIGN = (
    Rule("PK-PICKLE", ERROR, FORMAT, "A pickle is a program that runs while it is loaded: whoever made the file may run "
         "commands on every machine that opens it.", CONVERT),
    Rule("PK-SUFFIX", ERROR, FORMAT, "Loaders open files with this suffix as pickles, which run code of the file's "
         "author, and the content is of no kind that is safe.", CONVERT),
    Rule("PK-CODE", ERROR, FORMAT, "The artifact brings code of its own, which some platforms would run.",
         "Remove the code and use an architecture that the platform supports by itself."),
    Rule("FD-SUFFIX", WARNING, FORMAT, "The suffix names another format than the content has; loaders choose by suffix.",
         "Rename the file after its content."),
)  # fmt: skip

_FOLDER = (
    Rule("FD-KIND", ERROR, FORMAT, "A folder is judged when it is a PEFT adapter, a safetensors model, or one GGUF model.",
         "Name a folder with adapter_config.json and its weights, or with config.json and its weights."),
    Rule("FD-LINK", ERROR, FORMAT, "A link leads out of the folder: what it points to is not what was judged later.",
         "Copy the files themselves, for example with `cp -rL` or `hf download --local-dir`."),
    Rule("FD-SPECIAL", ERROR, FORMAT, "The folder holds something that is neither a file nor a folder.",
         "Remove it and register plain files only."),
    Rule("FD-LIMIT", ERROR, FORMAT, "The folder holds more files or is nested deeper than any model.",
         "Name the folder of the model itself."),
    Rule("FD-READ", ERROR, FORMAT, "A file of the folder could not be read.", "Check its permissions."),
    Rule("FD-UNKNOWN", WARNING, FORMAT, "The file is of no kind that is known here, so nothing was found out about it.",
         "Remove what serving does not need."),
    Rule("FD-NAME", ERROR, FORMAT, "File names with control characters or that look like paths mislead people and tools.",
         "Rename the file."),
    Rule("SH-INDEX", ERROR, FORMAT, "The index is a JSON object with a weight_map from tensors to files of the folder.",
         "Save the model again with save_pretrained."),
    Rule("SH-MISSING", ERROR, FORMAT, "The index names a file or tensor that is not there: the set is incomplete.",
         "Fetch the whole set again."),
    Rule("SH-EXTRA", ERROR, FORMAT, "A file holds a tensor that the index does not have: the set is mixed from two saves.",
         "Fetch the whole set again into an empty folder."),
    Rule("SH-STRAY", WARNING, FORMAT, "The folder has weights that the index does not name; loaders ignore them.",
         "Remove the file, or fetch the whole set again into an empty folder."),
    Rule("SH-TWICE", ERROR, FORMAT, "Two files hold a tensor of one name; loaders disagree about which counts.",
         "Fetch the whole set again into an empty folder."),
    Rule("SH-SIZE", WARNING, FORMAT, "The index states another total size than the tensors have.",
         "Save the model again with save_pretrained."),
    Rule("CF-JSON", ERROR, FORMAT, "A configuration is one JSON object without repeated names.", DOWNLOAD_AGAIN),
    Rule("CF-MISSING", ERROR, FORMAT, "Without this entry no platform can tell what the model is.",
         "Copy config.json from the base model that was trained."),
    Rule("CF-RANGE", ERROR, FORMAT, "The value is outside of what any known model has.",
         "Copy config.json from the base model that was trained."),
    Rule("CF-SHAPE", ERROR, FORMAT, "The tensors have other shapes than the configuration says.",
         "Use the config.json that was saved with these weights."),
)  # fmt: skip

RULES: dict[str, Rule] = {**GGUF_RULES, **{rule.id: rule for rule in (*_WEIGHTS, *_FOREIGN, *_FOLDER)}}


def finding(
    check: str,
    message: str,
    *,
    offset: int | None = None,
    subject: str = "",
    severity: Severity | None = None,
) -> Finding:
    """A finding of the rule `check`, which may be one of GGUF's."""
    return RULES[check].broken(message, offset=offset, subject=subject, severity=severity)
