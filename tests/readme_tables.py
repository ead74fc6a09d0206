"""The generated tables of the README; ``python -m tests.generate`` writes them, with everything else."""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING

from airflow_provider_oss_async.cli.assumptions import ASSUMPTIONS
from airflow_provider_oss_async.cli.rights import FEATURES, RESOURCES, RIGHTS, policy, rights_for
from airflow_provider_oss_async.clients.errors import FINAL_KINDS, PASSING_KINDS, TABLE
from airflow_provider_oss_async.hooks.config_options import OPTIONS
from airflow_provider_oss_async.hooks.connection_fields import FIELDS, ConnectionField
from airflow_provider_oss_async.hooks.metrics import METRICS
from airflow_provider_oss_async.jobs.completion import STRATEGIES
from airflow_provider_oss_async.operators.base import OSSAsyncBaseOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

END = "<!-- end -->"


def connection_fields() -> str:
    """Every field of a connection."""
    head = ("Field of the form", "In URI and JSON", "Allowed", "Default", "Meaning")
    return _table(head, map(_connection_field, FIELDS))


def common_arguments() -> str:
    """Every argument that all operators have, from the docstring of their base class."""
    text = inspect.cleandoc(OSSAsyncBaseOperator.__doc__ or "")
    described = re.findall(r"(?ms)^:param (\w+): (.*?)(?=^:param |\Z)", text)
    rows = [(f"`{name}`", " ".join(doc.split()).replace("``", "`")) for name, doc in described]
    return _table(("Argument", "Meaning"), rows)


def completion_strategies() -> str:
    """Every way to learn that a job has ended."""
    rows = [
        (
            f"`{name}`",
            strategy.summary.replace("``", "`"),
            "yes" if strategy.learns_of_failure else "no",
            f"{strategy.max_poll_interval:g} s",
        )
        for name, strategy in STRATEGIES.items()
    ]
    return _table(("`completion`", "How", "Learns of failure", "Default `poll_interval`"), rows)


def options() -> str:
    """Every option of the section ``[oss_async]``."""
    return _table(
        ("`[oss_async]`", "Default", "Meaning"),
        [(f"`{option.name}`", option.default or "", option.doc) for option in OPTIONS],
    )


def metrics() -> str:
    """Every metric."""
    rows = [
        (f"`oss_async.{name}`", "timer" if name.endswith("_seconds") else "counter", doc)
        for name, doc in METRICS.items()
    ]
    return _table(("Metric", "Kind", "Meaning"), rows)


def service_errors() -> str:
    """The table of service errors."""
    rows = []
    for row in TABLE:
        retried = "no" if row.kind in FINAL_KINDS else "yes, later" if row.kind in PASSING_KINDS else ""
        advice = row.advice.replace(" (AccessKey ID {key_id})", "").replace("{action}", "the right it names")
        services = "failed job" if row.services == ("job",) else ", ".join(row.services)
        code = ", ".join(f"`{part}`" for part in _readable(row.code)) or "any"
        words = ", ".join(_readable(row.words))
        rows.append((services, code, words, advice, retried))
    return _table(("From", "Code begins with", "Message has words such as", "What to do", "Retried"), rows)


def rights() -> str:
    """Every right that the caller needs."""
    names = dict.fromkeys(("bucket", "project", "queue", "account", "region"), "")
    names = {name: name.upper() for name in names}
    rows = [
        (
            f"`{right.action}`",
            f"`{RESOURCES[right.resource].format_map(names)}`",
            ", ".join(FEATURES[feature] for feature in right.features),
            right.note + (" (works without it)" if right.optional else ""),
        )
        for right in RIGHTS
    ]
    return _table(("Action", "Resource", "Needed for", "What for"), rows)


def example_policy() -> str:
    """A policy for video, audio and documents that are waited for with IMM."""
    names = {
        "bucket": "media-bucket",
        "project": "media-project",
        "queue": "jobs",
        "account": "ACCOUNT_ID",
        "region": "cn-hangzhou",
    }
    found = policy(rights_for(("submit", "video", "document", "imm")), names)
    return f"```json\n{json.dumps(found, indent=2)}\n```"


def assumptions() -> str:
    """What is not verified against a real account."""
    rows = [
        (
            f"`{one.id}`",
            one.sentence,
            one.where,
            one.test if one.judge else f"not tested: {one.test}",
            one.setting,
        )
        for one in ASSUMPTIONS
    ]
    head = ("Id", "Assumption", "Where it matters", "How `verify` tests it", "Where it differs")
    return _table(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    "connection-fields": connection_fields,
    "common-arguments": common_arguments,
    "completion-strategies": completion_strategies,
    "options": options,
    "service-errors": service_errors,
    "metrics": metrics,
    "rights": rights,
    "policy": example_policy,
    "assumptions": assumptions,
}


def rewrite(text: str) -> str:
    """Return the README's text with its tables as they should be.

    :raises ValueError: a table has no place in the text.
    """
    for name, make in TABLES.items():
        begin = f"<!-- generated:{name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(END)
        if not found or not closed:
            raise ValueError(f"README.md has no {begin} ... {END}")
        text = f"{before}{begin}\n\n{make()}\n\n{END}{after}"
    return text


def _connection_field(field: ConnectionField) -> list[str]:
    allowed = ", ".join(f"`{choice}`" for choice in field.choices) or field.allowed
    meaning = field.doc
    if field.sources:
        meaning += f" With {' and '.join(f'`{source}`' for source in field.sources)}."
    label = f"**{field.label}** (required)" if field.required else field.label
    return [label, f"`{field.name}`", allowed, field.default_text, meaning]


def _readable(pattern: str) -> list[str]:
    """Return the alternatives of a simple pattern, without its signs."""
    plain = re.sub(r"\\[bwWs]|[\^?*+()\[\]\\{}]|\.\*", "", pattern).replace(".", " ")
    return list(dict.fromkeys(" ".join(part.split()) for part in plain.split("|") if part.strip()))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_row(cells) for cells in (head, ["---"] * len(head), *rows))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|").replace("<", "&lt;") for cell in cells) + " |"
