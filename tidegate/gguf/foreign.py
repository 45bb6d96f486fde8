"""Names for files that are not GGUF, so that the message says what arrived instead."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer (the model itself was not fetched)"),
    (b"PK\x03\x04", "a ZIP archive (perhaps a PyTorch checkpoint)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a program (Windows)"),
    (b"#!", "a script"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "an HDF5 file"),
    (b"FUGG", "a file with the bytes of the magic reversed, which no converter writes"),
    (b"lmgg", "a GGML file of 2023, older than GGUF"),
    (b"fmgg", "a GGMF file of 2023, older than GGUF"),
    (b"tjgg", "a GGJT file of 2023, older than GGUF"),
    (b"algg", "a GGLA adapter of 2023, older than GGUF"),
)


def name_foreign(head: bytes) -> str | None:
    """What a file is by its first bytes, or None when they are of no known kind."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page (a download that was answered with HTML)"
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100 * 1024**2:
        return "a safetensors file"
    if text.startswith((b"{", b"[")):
        return "JSON text (a download that was answered with an error)"
    if head and not head.strip(b"\0"):
        return "a file that begins with zero bytes (a download that was never filled)"
    return None
