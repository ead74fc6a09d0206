"""The table of connection fields in the README; ``python -m tests.connection_table`` rewrites it."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_oss_async.hooks.connection_fields import FIELDS, ConnectionField

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- connection-fields:begin -->", "<!-- connection-fields:end -->"
_HEAD = ("Field of the form", "In URI and JSON", "Allowed", "Default", "Meaning")


def table() -> str:
    """Return the table as Markdown, without the markers."""
    return "\n".join(_row(cells) for cells in (_HEAD, ["---"] * len(_HEAD), *(map(_cells, FIELDS))))


def rewrite(text: str) -> str:
    """Return the README's text with the table as it should be."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _cells(field: ConnectionField) -> list[str]:
    allowed = ", ".join(f"`{choice}`" for choice in field.choices) or field.allowed
    meaning = field.doc
    if field.sources:
        meaning += f" With {' and '.join(f'`{source}`' for source in field.sources)}."
    label = f"**{field.label}** (required)" if field.required else field.label
    return [label, f"`{field.name}`", allowed, field.default_text, meaning]


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|").replace("<", "&lt;") for cell in cells) + " |"


if __name__ == "__main__":
    README.write_text(rewrite(README.read_text("utf-8")), "utf-8")
