"""Rules about the file, the header, metadata, tensor infos and the layout of the data."""

from tidegate.gguf.findings import Category, Rule, Severity

ERROR, WARNING = Severity.ERROR, Severity.WARNING
FORMAT, INTEGRITY, SIZE = Category.FORMAT, Category.INTEGRITY, Category.SIZE

DOWNLOAD_AGAIN = "Fetch the file again and compare its SHA-256 with the publisher's."
EXPORT_AGAIN = "Export the model again with a current converter; do not repair the file by hand."

CONTAINER_RULES = (
    Rule("F-KIND", ERROR, FORMAT, "Only a regular file can be validated.", "Name the model file itself."),
    Rule("F-EMPTY", ERROR, FORMAT, "The file has no content.", DOWNLOAD_AGAIN),
    Rule("F-FOREIGN", ERROR, FORMAT, "The bytes are those of another kind of file.", DOWNLOAD_AGAIN),
    Rule("F-CHILD", ERROR, FORMAT, "The inspection ran in a limited process and did not end well; a file that "
         "brings its reader down is not deployed.", "Treat the file as hostile and look at its origin."),
    Rule("I-DIGEST", ERROR, INTEGRITY, "The bytes are not those that were registered.", DOWNLOAD_AGAIN),
    Rule("I-CHANGED", ERROR, INTEGRITY, "The file changed while it was read, so nothing found out about it holds.",
         "Stop whatever writes to it and validate a stored, read-only copy."),
    Rule("Z-SMALL", ERROR, SIZE, "The policy expects a larger file.", "Check that this is the whole model."),
    Rule("Z-LARGE", ERROR, SIZE, "The policy allows no file as large as this.", "Quantize it or change the policy."),
    Rule("H-MAGIC", ERROR, FORMAT, "A GGUF file begins with the four bytes GGUF.", DOWNLOAD_AGAIN),
    Rule("H-TRUNC", ERROR, FORMAT, "The file ends inside its header.", DOWNLOAD_AGAIN),
    Rule("H-VERSION", ERROR, FORMAT, "Engines read versions 2 and 3 only.", EXPORT_AGAIN),
    Rule("H-ENDIAN", ERROR, FORMAT, "The file is big-endian; the engines run on little-endian machines.",
         "Convert it with gguf-convert-endian on a trusted machine."),
    Rule("H-NTENSOR", ERROR, FORMAT, "The tensor count cannot be true: so many do not fit into the file.",
         DOWNLOAD_AGAIN),
    Rule("H-NKV", ERROR, FORMAT, "The metadata count cannot be true: so many do not fit into the file.",
         DOWNLOAD_AGAIN),
    Rule("H-NOTENSORS", ERROR, FORMAT, "The file holds no tensors (a vocabulary-only or metadata-only file).",
         "Deploy the file with the weights."),
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
    Rule("L-ALIGN", ERROR, FORMAT, "general.alignment is a u32 power of two, at least 8.", EXPORT_AGAIN),
    Rule("L-OFFALIGN", ERROR, FORMAT, "Tensors begin at multiples of the alignment.", DOWNLOAD_AGAIN),
    Rule("L-OVERLAP", ERROR, FORMAT, "A tensor begins inside another one.", DOWNLOAD_AGAIN),
    Rule("L-GAP", ERROR, FORMAT, "Tensors lie back to back; a gap is damage or hidden data.", DOWNLOAD_AGAIN),
    Rule("L-BOUNDS", ERROR, FORMAT, "Tensor data lies beyond the end of the file: it is cut off.", DOWNLOAD_AGAIN),
    Rule("L-TRAIL", ERROR, FORMAT, "Bytes follow the last tensor: the header is damaged or something was appended.",
         DOWNLOAD_AGAIN),
    Rule("L-PAD", WARNING, FORMAT, "Padding between tensors is zero by the specification.", EXPORT_AGAIN),
    Rule("P-SPLIT", ERROR, FORMAT, "This is one part of a split model.",
         "Merge the parts with `llama-gguf-split --merge` and register the one file."),
    Rule("X-LIMIT", ERROR, FORMAT, "Inspecting the file took more memory than any known model needs.",
         "Treat the file as hostile and look at its origin."),
)  # fmt: skip
