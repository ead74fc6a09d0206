"""Writes what people and editors read about the arguments: ``python -m tests.generate``.

From the fields of the specifications and the base class of the operators it makes, in the source files
themselves, the ``__init__`` and the ``:param`` lines of every specification and operator; Airflow's own
arguments in ``operators/arguments.py``; the reference in ``operators/README.md``; and the tables of the
top ``README.md``.
``tests/test_generate.py`` fails where something is not up to date.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import BaseOperator, BaseSensorOperator

from airflow_provider_oss_async.operators import audio, document, image, process, video
from airflow_provider_oss_async.operators.base import OSSAsyncBaseOperator
from airflow_provider_oss_async.operators.specification import OSSSpecificationOperator
from airflow_provider_oss_async.process import SPECIFICATIONS, Specification
from airflow_provider_oss_async.process.presets import PRESETS, PUBLISHED
from tests import readme_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_oss_async.process.field import Field

PACKAGE = Path(__file__).parents[1] / "airflow_provider_oss_async"
COMMAND = "python -m tests.generate"
OPERATOR_MODULES = (document, video, audio, image, process)
WIDTH = 110
#: Most values that a signature names; more are only in the documentation.
MAX_LITERALS = 20
#: Arguments of Airflow that not every supported version knows.
SINCE = {"retry_policy": "3.3"}


class Argument(NamedTuple):
    """One argument as it stands in a signature.

    :param doc: its ``:param`` lines.
    :param default: source of the default; empty where the argument is required.
    """

    name: str
    annotation: str
    default: str
    doc: list[str]

    @property
    def source(self) -> str:
        """The argument in a signature."""
        return f"{self.name}: {self.annotation}" + (f" = {self.default}" if self.default else "")

    @property
    def templated(self) -> bool:
        """Whether Airflow renders it."""
        return self.doc[-1].endswith("(templated)")


def class_arguments(cls: type) -> list[Argument]:
    """Return the keyword arguments of a class as its source declares and documents them."""
    node = _class_node(Path(inspect.getfile(cls)).read_text("utf-8"), cls.__name__)
    init = next(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    docs: dict[str, list[str]] = {}
    name = ""
    for line in inspect.cleandoc(ast.get_docstring(node) or "").splitlines():
        if match := re.match(r":param (\w+):", line):
            name = match[1]
            docs[name] = [line]
        elif name and line.startswith("    "):
            docs[name].append(line)
        else:
            name = ""
    return [
        Argument(
            arg.arg,
            ast.unparse(arg.annotation) if arg.annotation else "Any",
            ast.unparse(default) if default else "",
            docs[arg.arg],
        )
        for arg, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    ]


def field_argument(field: Field, *, templated: bool) -> Argument:
    """Return the argument of a field."""
    param = field.param
    values = [f'"{value}"' for value in (*(name for name, _ in param.choices), *param.known)]
    values += [wire for _, wire in param.choices]
    if param.types:
        kind = param.types
    elif values and len(values) <= MAX_LITERALS:
        kind = f"Literal[{', '.join(values)}] | str"
    elif field.kind is list:
        kind = "Sequence[Clip | str | XComArg] | str" if templated else "Sequence[Clip | str]"
    elif field.kind is bool:
        kind = "bool | Literal[0, 1] | str"
    else:
        kind = "float | timedelta | str" if field.is_time else f"{field.kind.__name__} | str"
    if templated:
        kind += " | XComArg"
    text = f":param {field.name}: {param.doc} {_capital(field.allowed)}."
    if param.needs:
        text += f" Only with {_names(param.needs, '``')}."
    if param.excludes:
        text += f" Not with {_names(param.excludes, '``')}."
    text += " Required." if field.required else f" Default: {param.default or 'not documented'}."
    text += f" Wire key ``{param.key}``." + (" (templated)" if templated else "")
    return Argument(
        field.name,
        kind if field.required else f"{kind} | None",
        "" if field.required else "None",
        textwrap.wrap(text, WIDTH - 4, subsequent_indent="    ", break_on_hyphens=False),
    )


def specification_source(cls: type[Specification], source: str) -> str:
    """Return a module's source with one specification as it should be."""
    common = class_arguments(Specification)
    arguments = [*(field_argument(field, templated=False) for field in cls.fields()), *common]
    names = [argument.name for argument in arguments]
    init = [
        *_signature(arguments, ""),
        "        super().__init__(",
        *(f"            {name}={name}," for name in names),
        "        )",
    ]
    raises = [":raises ProcessError: names every wrong argument, its value and what is allowed."]
    page = [f"Source: {cls.page}"]
    return _with_class(source, cls.__name__, [*page, "", *_docs(arguments), *raises], init)


def operator_source(cls: type[OSSAsyncBaseOperator], source: str) -> str:
    """Return a module's source with one operator as it should be."""
    common = [argument._replace(annotation=_templated(argument)) for argument in _common_arguments(cls)]
    if issubclass(cls, OSSSpecificationOperator):
        own = [field_argument(field, templated=True) for field in cls.specification.fields()]
        if cls.own_arguments:
            own += [argument for argument in class_arguments(cls) if argument.name in cls.own_arguments]
    else:
        shared = {argument.name for argument in class_arguments(OSSAsyncBaseOperator)}
        own = [argument for argument in class_arguments(cls) if argument.name not in shared]
    first = [argument for argument in common if argument.name in ("source", "target")]
    rest = [argument for argument in common if argument not in first]
    arguments = [*first, *own, *rest]
    init = [
        *_signature(arguments, "**kwargs: Unpack[TaskArguments]"),
        # Without types: the base class has those of the rendered values.
        "        common: dict[str, Any] = {",
        *(f'            "{argument.name}": {argument.name},' for argument in common),
        "        }",
        "        super().__init__(**common, **kwargs)",
        *(f"        self.{argument.name} = {argument.name}" for argument in own),
    ]
    return _with_class(source, cls.__name__, _docs(arguments), init)


def task_arguments() -> str:
    """Return the source of ``operators/arguments.py``."""
    operator, sensor = (
        "\n".join(f"    {name}: {annotation}" for name, annotation in airflow_arguments(cls).items())
        for cls in (BaseOperator, BaseSensorOperator)
    )
    return f'''"""The arguments that operators and sensor pass on to Airflow; for type checkers and editors.

Made by ``{COMMAND}``. Where an argument needs a newer Airflow than 3.2, a comment says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import collections.abc
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime, timedelta
    from typing import Any, Required

    from airflow.sdk import DAG, Context, TaskGroup, XComArg
    from airflow.sdk.definitions.retry_policy import RetryPolicy
    from airflow.sdk.types import WeightRuleParam

    TaskStateChangeCallback = Callable[[Context], Any]
    TaskPreExecuteHook = Callable[[Context], Any]
    TaskPostExecuteHook = Callable[[Context, Any], Any]


class Clip(TypedDict, total=False):
    """One further object of a merge, with an optional cut.

    ``object`` is a key, or ``oss://bucket/key`` in the source's bucket. ``start`` and ``duration`` are
    seconds or a ``timedelta``; a ``duration`` of 0 means to the end.
    """

    object: Required[str | XComArg]
    start: float | timedelta | str | XComArg | None
    duration: float | timedelta | str | XComArg | None


class TaskArguments(TypedDict, total=False):
    """Arguments of Airflow's ``BaseOperator``."""

{operator}


class SensorArguments(TaskArguments, total=False):
    """Arguments of Airflow's ``BaseSensorOperator``."""

{sensor}
'''


def operators() -> dict[str, type[OSSSpecificationOperator]]:
    """Return the operator of each operation, in the order of the reference."""
    return {
        cls.specification.operation: cls
        for module in OPERATOR_MODULES
        for cls in _own_classes(module)
        if issubclass(cls, OSSSpecificationOperator)
    }


def reference() -> str:
    """Return the text of ``operators/README.md``."""
    common = [
        _row([f"`{a.name}`", _markdown(a.default) or "required", _markdown(_plain_doc(a))])
        for a in class_arguments(OSSAsyncBaseOperator)
    ]
    lines = [
        "# Operators",
        "",
        f"Made from the specifications by `{COMMAND}`.",
        "",
        "Times are seconds or a `timedelta`; on the wire they are milliseconds. All arguments of the "
        "operations are templated, and text is understood: `'1280'` is a width. A value outside a range is "
        "an error. `one of` names all values; `text such as` names the documented ones, and another value is "
        "passed on with a warning. An argument that is certain to have no effect is an error, unless "
        "`allow_ignored=True` is given.",
        "",
        "## Common arguments",
        "",
        *_table(("Argument", "Default", "Meaning"), common),
        "",
        *(line for cls in operators().values() for line in _section(cls)),
        "## OSSAsyncProcessOperator",
        "",
        _summary(process.OSSAsyncProcessOperator),
        "",
        "- Module: `airflow_provider_oss_async.operators.process`",
        "",
        *_table(
            ("Argument", "Default", "Meaning"),
            [
                _row([f"`{a.name}`", _markdown(a.default) or "required", _markdown(_plain_doc(a))])
                for a in class_arguments(process.OSSAsyncProcessOperator)
                if a.name in ("process", "imm_task_type")
            ],
        ),
        "",
        *_presets(),
    ]
    return "\n".join(lines) + "\n"


def files() -> dict[Path, str]:
    """Return every generated file with the text that it should have."""
    texts: dict[Path, str] = {}

    def change(cls: type, make: Callable[[Any, str], str]) -> None:
        path = Path(inspect.getfile(cls))
        texts[path] = make(cls, texts.get(path) or path.read_text("utf-8"))

    for specification in SPECIFICATIONS.values():
        change(specification, specification_source)
    for module in OPERATOR_MODULES:
        for cls in _own_classes(module):
            change(cls, operator_source)
    texts[PACKAGE / "operators" / "arguments.py"] = task_arguments()
    formatted = {path: _formatted(path, text) for path, text in texts.items()}
    readme = PACKAGE.parent / "README.md"
    return {
        **formatted,
        PACKAGE / "operators" / "README.md": reference(),
        readme: readme_tables.rewrite(readme.read_text("utf-8")),
    }


def _own_classes(module: Any) -> list[type[OSSAsyncBaseOperator]]:
    return [
        member
        for member in vars(module).values()
        if inspect.isclass(member)
        and member.__module__ == module.__name__
        and issubclass(member, OSSAsyncBaseOperator)
    ]


def _common_arguments(cls: type[OSSAsyncBaseOperator]) -> list[Argument]:
    without = {"extra_params"} if cls is process.OSSAsyncProcessOperator else set()
    if issubclass(cls, OSSSpecificationOperator) and not cls.specification.writes_object:
        without = {"target", "if_target_exists", "if_target_triggers"}
    return [a for a in class_arguments(OSSAsyncBaseOperator) if a.name not in without]


def _templated(argument: Argument) -> str:
    """Return the annotation of a common argument, with what a template makes possible."""
    kinds = argument.annotation.split(" | ")
    if not argument.templated or "XComArg" in kinds:
        return argument.annotation
    none = ["None"] if "None" in kinds else []
    return " | ".join([*(kind for kind in kinds if kind != "None"), "XComArg", *none])


def airflow_arguments(cls: type) -> dict[str, str]:
    """Return the arguments that a class of Airflow takes by name, with their annotations."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(cls.__init__)))  # type: ignore[misc]
    (init,) = ast.parse(source).body
    assert isinstance(init, ast.FunctionDef)
    found: dict[str, str] = {}
    for arg in init.args.kwonlyargs:
        annotation = ast.unparse(arg.annotation) if arg.annotation else "Any"
        annotation = re.sub(r"\bdict\b(?!\[)", "dict[str, Any]", annotation)
        annotation = re.sub(r"^None \| (.*)$", r"\1 | None", annotation)
        if arg.arg == "task_id":
            annotation = f"Required[{annotation}]"
        since = f"  # Airflow {SINCE[arg.arg]} and later" if arg.arg in SINCE else ""
        found[arg.arg] = annotation + since
    return found


def _signature(arguments: list[Argument], rest: str) -> list[str]:
    return [
        f"    def __init__(  # made by {COMMAND}",
        "        self,",
        "        *,",
        *(f"        {argument.source}," for argument in arguments),
        *([f"        {rest},"] if rest else []),
        "    ) -> None:",
    ]


def _docs(arguments: list[Argument]) -> list[str]:
    return [line for argument in arguments for line in argument.doc]


def _class_node(source: str, name: str) -> ast.ClassDef:
    return next(
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name
    )


def _with_class(source: str, name: str, docs: list[str], init: list[str]) -> str:
    """Return a source in which a class has these documentation lines and this ``__init__``."""
    node = _class_node(source, name)
    lines = source.splitlines()
    old = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if old is not None:
        lines[old.lineno - 1 : old.end_lineno] = init
    else:
        methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
        firsts = [min([n.lineno, *(d.lineno for d in n.decorator_list)]) for n in methods]
        at = firsts[0] - 1 if firsts else node.end_lineno or 0
        lines[at:at] = ["", *init, ""]
    summary = re.split(r"\n(?=:param |:raises |Source: )", inspect.cleandoc(ast.get_docstring(node) or ""))[0]
    text = "\n".join([summary.rstrip(), "", *docs])
    doc = node.body[0]
    lines[doc.lineno - 1 : doc.end_lineno] = textwrap.indent(f'"""{text}\n"""', "    ").splitlines()
    return "\n".join(lines) + "\n"


def _formatted(path: Path, text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--quiet", "--stdin-filename", str(path), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def _section(cls: type[OSSSpecificationOperator]) -> Iterator[str]:
    spec = cls.specification
    yield from (f"## {cls.__name__}", "", _summary(cls), "")
    yield f"- Module: `{cls.__module__}`"
    yield f"- Operation: `{spec.operation}`, IMM task type `{spec.task_type}`, [documentation]({spec.page})"
    yield from (f"- Outputs: {spec.outputs}", "")
    head = ("Argument", "Wire key", "Allowed values", "Unit", "Default", "Meaning")
    yield from _table(head, [_row(_cells(field)) for field in spec.fields()])
    yield ""
    # A new class has no signature yet.
    own = class_arguments(cls) if cls.own_arguments else []
    for argument in (a for a in own if a.name in cls.own_arguments):
        yield from (f"`{argument.name}`: {_markdown(_plain_doc(argument))}.", "")


def _presets() -> Iterator[str]:
    yield from ("## Presets", "")
    yield (
        '`preset("h264_720p", frame_rate=25)` of `airflow_provider_oss_async.process.presets` returns the '
        "specification that stands here, with overrides; `None` takes an argument away, and what is in bold "
        "cannot be overridden. `version=1` pins one: a released version never changes."
    )
    yield ""
    rows = []
    for one in (one for versions in PRESETS.values() for one in versions.values()):
        shown = {name: f"`{name}={value!r}`" for name, value in one.arguments.items()}
        shown.update({name: f"**{shown[name]}**" for name in one.fixed})
        arguments = f"`{one.specification.__name__}`: {', '.join(shown.values())}"
        rows.append(_row([f"`{one.name}`", str(one.version), one.meaning, arguments, one.source]))
    yield from _table(("Preset", "Version", "What for", "Arguments", "Source"), rows)
    yield from ("", "Tables that are published for other services, whose values differ, in kbit/s:", "")
    published = [
        _row([row.service, row.template, *map(str, (row.width, row.video, row.audio)), row.source])
        for row in PUBLISHED
    ]
    yield from _table(("Service", "Template", "Width", "Video", "Audio", "Source"), published)


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


def _summary(cls: type) -> str:
    text = inspect.cleandoc(cls.__doc__ or "").partition("\n:param")[0]
    return _markdown(" ".join(text.split()))


def _plain_doc(argument: Argument) -> str:
    text = " ".join(line.strip() for line in argument.doc)
    return text.partition(": ")[2]


def _markdown(text: str) -> str:
    text = re.sub(r":\w+:`~?([\w.]+)`", lambda match: f"`{match[1].rpartition('.')[2]}`", text)
    return text.replace("``", "`")


def _names(names: tuple[str, ...], quote: str = "`") -> str:
    return " or ".join(f"{quote}{name}{quote}" for name in names)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _table(head: tuple[str, ...], rows: list[str]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *rows]


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


if __name__ == "__main__":
    for file, content in files().items():
        file.write_text(content, "utf-8")
