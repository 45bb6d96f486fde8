"""The same report as Markdown, for pull requests and artifacts. Text of servers cannot become markup."""

from tidegate.benchmark.report.view import Cell, Section, Table, View
from tidegate.domain.plain import markdown_text


def to_markdown(view: View) -> str:
    """Headline, warnings, tables, meanings; of plots what they show in words."""
    lines = [f"# {markdown_text(view.word)}: {markdown_text(view.title)}", ""]
    lines += [f"{markdown_text(sentence)}\n" for sentence in view.sentences]
    lines += [f"- **{markdown_text(name)}**: {markdown_text(text)}" for name, text in view.facts]
    lines.append("")
    if view.warnings:
        lines += ["> **Read this before the figures**", ">"]
        lines += [f"> - {markdown_text(warning)}" for warning in view.warnings]
        lines.append("")
    for section in view.sections:
        lines += _section(section)
    lines += ["## What each figure means", ""]
    for one in view.definitions:
        lines.append(f"- **{markdown_text(one.title)}**: {markdown_text(one.meaning)}")
    lines.append("")
    lines += [f"{markdown_text(note)}\n" for note in view.notes]
    lines.append(markdown_text(view.footer))
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> list[str]:
    lines = [f"## {markdown_text(section.title)}", ""]
    lines += [f"{markdown_text(sentence)}\n" for sentence in section.sentences]
    for table in section.tables:
        lines += [*_table(table), ""]
    lines += [f"- *{markdown_text(plot.title)}*: {markdown_text(plot.summary)}" for plot in section.plots]
    return [*lines, ""]


def _table(table: Table) -> list[str]:
    head = "| " + " | ".join(map(markdown_text, table.columns)) + " |"
    rule = "|---|" + "---:|" * (len(table.columns) - 1)
    rows = [
        "| " + " | ".join(_cell(cell, number) for number, cell in enumerate(row)) + " |" for row in table.rows
    ]
    caption = [f"{markdown_text(table.caption)}", ""] if table.caption else []
    return [*caption, head, rule, *rows]


def _cell(cell: Cell, column: int) -> str:
    text = markdown_text(cell.text)
    note = "; ".join(cell.note.split("\n"))
    return f"{text} ({markdown_text(note)})" if note and column else text
