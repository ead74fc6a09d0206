"""Finding a connection in a process that is neither task nor server, by every route that Airflow has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.exceptions import OSSConnectionError, error_text
from airflow_provider_oss_async.hooks.settings import read_settings

if TYPE_CHECKING:
    from airflow_provider_oss_async.hooks.settings import ConnectionSettings

#: What makes Airflow's task SDK look connections up as its servers do, in the metadata database too. Own
#: commands of Airflow set it as well (``airflow connections get``); without it the database is left out.
_CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"


def find_connection(conn_id: str) -> tuple[ConnectionSettings, str]:
    """Return what a connection says, and where it was found.

    First as a worker without Execution API finds it (environment, secrets backend, also that of
    ``[workers] secrets_backend``), then as a server does (secrets backend of ``[secrets]``, metadata
    database).

    :raises OSSConnectionError: there is none, or it lacks a setting or holds a wrong one.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    conn: Any
    try:
        conn, where = BaseHook.get_connection(conn_id), "environment or secrets backend"
    except AirflowNotFoundException:
        before = os.environ.get(_CONTEXT)
        os.environ[_CONTEXT] = "server"
        try:
            conn, where = (
                BaseHook.get_connection(conn_id),
                "metadata database or secrets backend of the servers",
            )
        except AirflowNotFoundException:
            conn = None
        finally:
            if before is None:
                del os.environ[_CONTEXT]
            else:
                os.environ[_CONTEXT] = before
    if conn is None:
        advice = "Create it with type oss_async; or run the command where it is defined."
        raise OSSConnectionError(
            error_text(f"There is no Airflow connection {conn_id!r} here", advice), advice=advice
        )
    _ = conn.extra_dejson  # Only this tells the log masker which secrets are in the extra.
    return read_settings(conn), where
