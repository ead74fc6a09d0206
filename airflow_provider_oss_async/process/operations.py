"""Every asynchronous operation by name. A specification enters itself here when its class is made.

Importing any module of ``process`` imports all specifications, so the table is complete wherever it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.specification import Specification

#: One specification per operation; styles are not among them.
SPECIFICATIONS: dict[str, type[Specification]] = {}


def task_types() -> tuple[str, ...]:
    """Return the IMM task types that an operation can have, each once."""
    return tuple(dict.fromkeys(specification.task_type for specification in SPECIFICATIONS.values()))
