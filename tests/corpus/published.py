"""Published flaws of other readers, and which cases of the corpus are files of that kind."""

PUBLISHED: dict[str, tuple[str, ...]] = {
    "TALOS-2024-1912 to 1916 (CVE-2024-21825, -23496, -21802, -21836, -23605)": (
        "header/n-tensors-", "header/n-metadata-", "metadata/string-length-", "metadata/array-of-", "tensor/product-wraps",
    ),
    "CVE-2024-32878, CVE-2024-41130": ("header/cut-at-", "header/nothing-but-counts", "semantic/without-"),
    "CVE-2024-34359, CVE-2026-5760": ("kind/embedding-model-with-hostile-template",),
    "CVE-2025-53630": ("tensor/2-to-62", "tensor/bytes-wrap"),
    "CVE-2026-27940": ("tensor/four-big", "tensor/product-wraps-small"),
    "CVE-2026-33298": ("tensor/byte-size-near-2-to-64",),
    "llama.cpp pull request 24759": ("tensor/pads-to-0",),
    "CVE-2025-49847, CVE-2025-52566": ("tokenizer/text-of-70000-bytes",),
    "llama.cpp pull request 26690": ("tokenizer/types-as-u8", "tokenizer/types-as-i8", "tokenizer/scores-as-u8"),
    "llama.cpp pull requests 25821 and 26051": ("semantic/block_count-513", "semantic/block_count-1000"),
    "CVE-2026-7482": ("layout/last-tensor-claims-more", "layout/last-offset-"),
    "openvino.genai pull request 4170": ("tensor/dims-five", "tensor/dims-hundred"),
    "llama.cpp pull request 27188 (endless loop of GGUFReader)": ("metadata/array-of-u8-",),
    "llama.cpp issue 25739 (equal tokens)": ("tokenizer/text-twice",),
    "llama.cpp issues 24884 and 24885 (aborts)": ("split/", "semantic/rope-scaling-magic", "layout/alignment-"),
    "modelaudit: templates of another type": ("metadata/template-as-",),
}  # fmt: skip
