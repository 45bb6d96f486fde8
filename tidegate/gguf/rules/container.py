"""Rules about the file, the header, metadata, tensor infos and the layout of the data."""

from tidegate.gguf.findings import Category, Rule, Severity

ERROR, WARNING = Severity.ERROR, Severity.WARNING
FORMAT, INTEGRITY, SIZE = Category.FORMAT, Category.INTEGRITY, Category.SIZE

DOWNLOAD_AGAIN = "Fetch the file again and compare its SHA-256 with the publisher's."
EXPORT_AGAIN = "Export the model again with a current converter; do not repair the file by hand."

SPLIT_AGAIN = "Split the whole model again with `llama-gguf-split --split`."

# What no engine of ours loads although it may be whole: everything else about such a file can still be judged.
UNSUPPORTED = frozenset({"H-VERSION", "H-ENDIAN"})

CONTAINER_RULES = (
    Rule("F-KIND", ERROR, FORMAT, "Only a regular file can be validated.", "Name the model file itself."),
    Rule("F-EMPTY", ERROR, FORMAT, "The file has no content.", DOWNLOAD_AGAIN),
    Rule("F-FOREIGN", ERROR, FORMAT, "The bytes are those of another kind of file.", DOWNLOAD_AGAIN),
    Rule("F-CHILD", ERROR, FORMAT, "The inspection ran in a limited process and did not end well; a file that "
         "brings its reader down is not deployed.", "Treat the file as hostile and look at its origin."),
    Rule("I-DIGEST", ERROR, INTEGRITY, "The bytes are not those that were registered.", DOWNLOAD_AGAIN),
    Rule("I-CHANGED", ERROR, INTEGRITY, "The file changed while it was read, so nothing found out about it holds.",
         "Stop whatever writes to it and validate a stored, read-only copy."),
    Rule("I-LENGTH", ERROR, INTEGRITY, "The source brought another number of bytes than it announced.",
         DOWNLOAD_AGAIN),
    Rule("Z-SMALL", ERROR, SIZE, "The policy expects a larger file.", "Check that this is the whole model."),
    Rule("Z-LARGE", ERROR, SIZE, "The policy allows no file as large as this.", "Quantize it or change the policy."),
    Rule("H-MAGIC", ERROR, FORMAT, "A GGUF file begins with the four bytes GGUF.", DOWNLOAD_AGAIN),
    Rule("H-TRUNC", ERROR, FORMAT, "The file ends inside its header.", DOWNLOAD_AGAIN),
    Rule("H-VERSION", ERROR, FORMAT, "Engines read versions 2 and 3 only; version 1 was given up in 2024.",
         "Convert the original weights again with a current convert_hf_to_gguf.py; no tool turns version 1 into 3."),
    Rule("H-ENDIAN", ERROR, FORMAT, "The file is big-endian; the engines run on little-endian machines.",
         "Convert it with `gguf-convert-endian FILE little` of the Python package gguf, then validate it again."),
    Rule("H-NTENSOR", ERROR, FORMAT, "The tensor count cannot be true: so many do not fit into the file.",
         DOWNLOAD_AGAIN),
    Rule("H-NKV", ERROR, FORMAT, "The metadata count cannot be true: so many do not fit into the file.",
         DOWNLOAD_AGAIN),
    Rule("H-NOTENSORS", ERROR, FORMAT, "The file holds no weights: it is a vocabulary or metadata alone, or its tensor "
         "count is damaged.", "Deploy the file with the weights; if this should be it, fetch it again."),
    Rule("H-HUGE", ERROR, FORMAT, "The header is larger than that of any known model.", EXPORT_AGAIN),
    Rule("K-KEYLEN", ERROR, FORMAT, "Keys have 1 to 65535 bytes.", EXPORT_AGAIN),
    Rule("K-KEYCHAR", ERROR, FORMAT, "Keys are dotted ASCII words; other characters hide things from readers.",
         EXPORT_AGAIN),
    Rule("K-CASE", WARNING, FORMAT, "Keys are lower case by the specification; engines will not find this one.",
         EXPORT_AGAIN),
    Rule("K-DUP", ERROR, FORMAT, "Readers disagree about which of two equal keys counts.", EXPORT_AGAIN),
    Rule("K-TYPE", ERROR, FORMAT, "Value types are the numbers 0 to 12.", DOWNLOAD_AGAIN),
    Rule("K-STRLEN", ERROR, FORMAT, "A string claims more bytes than the file has left.", DOWNLOAD_AGAIN),
    Rule("K-ARRLEN", ERROR, FORMAT, "An array claims more items than the file has room for.", DOWNLOAD_AGAIN),
    Rule("K-NEST", ERROR, FORMAT, "Arrays of arrays are refused by the engines.", EXPORT_AGAIN),
    Rule("K-UTF8", WARNING, FORMAT, "Strings are UTF-8.", EXPORT_AGAIN),
    Rule("K-NUL", WARNING, FORMAT, "C code ends a string at a NUL byte, other readers do not.", EXPORT_AGAIN),
    Rule("K-BOOL", ERROR, FORMAT, "Booleans are the bytes 0 and 1.", DOWNLOAD_AGAIN),
    Rule("K-NAN", ERROR, FORMAT, "A hyper-parameter that is no finite number spoils every result.", EXPORT_AGAIN),
    Rule("T-NAME", ERROR, FORMAT, "Tensor names have 1 to 63 bytes of printable text.", EXPORT_AGAIN),
    Rule("T-DUP", ERROR, FORMAT, "Two tensors have one name; readers disagree about which counts.", EXPORT_AGAIN),
    Rule("T-NDIMS", ERROR, FORMAT, "Tensors have one to four dimensions.", DOWNLOAD_AGAIN),
    Rule("T-DIM", ERROR, FORMAT, "Every dimension is at least 1 and below 2^63.", DOWNLOAD_AGAIN),
    Rule("T-PROD", ERROR, FORMAT, "The size of the tensor overflows 63 bits; readers in C would wrap around.",
         "Treat the file as hostile: this is the shape of several published attacks."),
    Rule("T-TYPE", ERROR, FORMAT, "The tensor type is unknown, removed, or never meant for files.", EXPORT_AGAIN),
    Rule("T-BLOCK", ERROR, FORMAT, "Rows of a quantized tensor consist of whole blocks.", EXPORT_AGAIN),
    Rule("L-ALIGN", ERROR, FORMAT, "general.alignment is a u32 power of two, at least 8; the engine aborts where data "
         "does not begin at a multiple of 32.", EXPORT_AGAIN),
    Rule("L-OFFALIGN", ERROR, FORMAT, "Tensors begin at multiples of the alignment.", DOWNLOAD_AGAIN),
    Rule("L-OVERLAP", ERROR, FORMAT, "A tensor begins inside another one.", DOWNLOAD_AGAIN),
    Rule("L-GAP", ERROR, FORMAT, "Tensors lie back to back; a gap is damage or hidden data.", DOWNLOAD_AGAIN),
    Rule("L-BOUNDS", ERROR, FORMAT, "Tensor data lies beyond the end of the file: it is cut off.", DOWNLOAD_AGAIN),
    Rule("L-TRAIL", ERROR, FORMAT, "Bytes follow the last tensor: the header is damaged or something was appended.",
         DOWNLOAD_AGAIN),
    Rule("L-PAD", WARNING, FORMAT, "Padding between tensors is zero by the specification.", EXPORT_AGAIN),
    Rule("P-SPLIT", ERROR, FORMAT, "This is one part of a split model; the engine needs all of them.",
         "Put all parts into one folder and validate the first, or merge them with `llama-gguf-split --merge FIRST "
         "OUT` and register the one file."),
    Rule("P-TYPE", ERROR, FORMAT, "The engine reads the number and count of parts as u16 and the tensor count as i32.",
         SPLIT_AGAIN),
    Rule("P-NAME", ERROR, FORMAT, "Parts are named PREFIX-00001-of-00003.gguf and so on, numbered from 1.",
         "Give the parts the names that they were published with."),
    Rule("P-MISSING", ERROR, FORMAT, "A part of the model is missing.", "Fetch all parts into the same folder."),
    Rule("P-KEY", ERROR, FORMAT, "Each part states its number, and the first one how many parts and tensors there are.",
         SPLIT_AGAIN),
    Rule("P-NUMBER", ERROR, FORMAT, "The name of a part and its metadata disagree: parts were mixed up or renamed.",
         "Fetch all parts again from one publication and leave their names alone."),
    Rule("P-TENSOR", ERROR, FORMAT, "A tensor is in two parts; parts of different publications were mixed.",
         "Fetch all parts again from one publication."),
    Rule("P-TOTAL", ERROR, FORMAT, "The parts do not hold as many tensors as the set should have.",
         "Fetch all parts again from one publication."),
    Rule("P-META", WARNING, FORMAT, "The engine reads metadata from the first part only and ignores it elsewhere.",
         SPLIT_AGAIN),
    Rule("X-LIMIT", ERROR, FORMAT, "Inspecting the file took more memory than any known model needs.",
         "Treat the file as hostile and look at its origin."),
)  # fmt: skip
