"""The shape of the repository, and what must never be in it."""

import re
from pathlib import Path

TOP_LEVEL = {
    *("flows", "tasks", "tidegate", "deployments", "tests", "benchmarks", "docs", ".ci"),
    *("prefect.yaml", "pyproject.toml", "Makefile", "LICENSE"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md"),
}
# Put together from parts, so that this file does not hold what it forbids.
FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.$}])/wo" + r"rk/",
            r"\.\./sha" + "red",
            r"/opt/(py" + "pi|whe" + "els)",
            r"/ro" + r"ot/\.(pyenv|cache|config)",
            "py" + r"pi\.org",
            "python" + r"hosted\.org",
            "registry" + r"\.npmjs",
            r"-----BEGIN (RSA |EC |OPENSSH )?PRIVATE " + "KEY",
        ]
    )
)
UNKIND_NAMES = {"utils", "helpers", "common", "base", "core", "manager", "misc"}


def test_the_top_level_holds_the_agreed_names_and_nothing_else(kept_files: list[Path]) -> None:
    names = {path.parts[0] for path in kept_files}

    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL
    assert names >= TOP_LEVEL


def test_no_file_names_a_machine_or_a_package_index(root: Path, kept_files: list[Path]) -> None:
    found: list[str] = []
    for path in kept_files:
        content = (root / path).read_bytes()
        if b"\0" in content[:4096]:
            continue
        lines = content.decode("utf-8", errors="replace").splitlines()
        found += [
            f"{path}:{number}: {line.strip()[:120]}"
            for number, line in enumerate(lines, 1)
            if FORBIDDEN.search(line)
        ]

    assert found == []


def test_no_module_is_named_after_nothing(kept_files: list[Path]) -> None:
    modules = [path for path in kept_files if path.suffix == ".py"]

    unkind = [str(path) for path in modules if UNKIND_NAMES & {*path.parent.parts, path.stem}]

    assert unkind == []


def test_every_module_of_the_product_fits_four_hundred_lines(root: Path, kept_files: list[Path]) -> None:
    ours = [
        path
        for path in kept_files
        if path.suffix == ".py" and path.parts[0] in {"tidegate", "tasks", "flows"}
    ]

    lengths = {str(path): len((root / path).read_text(encoding="utf-8").splitlines()) for path in ours}

    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_the_licence_is_the_full_apache_text(root: Path) -> None:
    text = (root / "LICENSE").read_text(encoding="utf-8")

    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_package_says_that_it_is_typed(root: Path) -> None:
    assert (root / "tidegate" / "py.typed").is_file()
