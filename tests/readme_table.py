"""The reference of operators in the README; ``python -m tests.readme_table`` rewrites it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_oss_async.operators import audio, document, image, video
from airflow_provider_oss_async.operators.base import OSSSpecificationOperator
from airflow_provider_oss_async.process import SPECIFICATIONS

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.field import Field

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- operators:begin -->", "<!-- operators:end -->"
#: What a job writes, by operation: neither Python types nor wire keys tell.
OUTPUTS = {
    "doc/convert": "one object for `pdf` and `txt`; one per page for images: put `{index}` into the target",
    "video/convert": "one object",
    "video/animation": "one object",
    "video/snapshots": "one object per frame: give a target without extension, or with `{index}`",
    "video/sprite": "one object per sheet: give a target without extension, or with `{index}`",
    "video/concat": "one object",
    "audio/convert": "one object",
    "audio/concat": "one object",
    "image/deblindwatermark": "no object; the text is `content` in the result",
}
_HEAD = ("Argument", "Wire key", "Allowed values", "Unit", "Default", "Meaning")


def operators() -> dict[str, type[OSSSpecificationOperator]]:
    """Return the operator of each operation, in the order of the specifications."""
    found = {
        member.specification.operation: member
        for module in (document, video, audio, image)
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, OSSSpecificationOperator) and member is not OSSSpecificationOperator
    }
    return {operation: found[operation] for operation in SPECIFICATIONS}


def table() -> str:
    """Return the reference as Markdown, without the markers."""
    return "\n\n".join(_section(operator) for operator in operators().values())


def rewrite(text: str) -> str:
    """Return the README's text with the reference as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _section(operator: type[OSSSpecificationOperator]) -> str:
    spec = operator.specification
    summary = inspect.cleandoc(operator.__doc__ or "").partition("\nFor the arguments")[0]
    lines = [
        f"#### {operator.__name__}",
        "",
        " ".join(summary.replace("``", "`").split()),
        "",
        f"- Module: `{operator.__module__}`",
        f"- Operation: `{spec.operation}`, IMM task type `{spec.task_type}`",
        f"- Outputs: {OUTPUTS[spec.operation]}",
        "",
        _row(_HEAD),
        _row(["---"] * len(_HEAD)),
        *(_row(_cells(field)) for field in spec.fields()),
    ]
    return "\n".join(lines)


def _cells(field: Field) -> list[str]:
    param = field.param
    meaning = [param.doc]
    if param.needs:
        meaning.append(f"Only with {_names(param.needs)}.")
    if param.excludes:
        meaning.append(f"Not with {_names(param.excludes)}.")
    return [
        f"`{field.name}`",
        f"`{param.key}`",
        field.allowed.removesuffix(f" {param.unit}") if param.unit else field.allowed,
        param.unit,
        "required" if field.required else param.default,
        " ".join(meaning),
    ]


def _names(names: tuple[str, ...]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


if __name__ == "__main__":
    README.write_text(rewrite(README.read_text("utf-8")), "utf-8")
