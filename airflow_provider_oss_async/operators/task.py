"""What the operators for one object and for many share: the hook, and the rendering of templates."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_oss_async.operators.argument_checks import refusal

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook


class OSSAsyncTask(BaseOperator):
    """Base class of all operators."""

    # As they are once rendered.
    oss_conn_id: str
    region: str | None
    imm_project: str | None

    @cached_property
    def hook(self) -> OSSAsyncHook:
        """The hook of the task's connection."""
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook

        return OSSAsyncHook(self.oss_conn_id, region=self.region, imm_project=self.imm_project)

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Render templates; called by Airflow.

        :raises FinalProcessError: a variable of OSS is in double braces, which are Jinja's.
        """
        from jinja2 import UndefinedError

        from airflow_provider_oss_async.operators.final_errors import final
        from airflow_provider_oss_async.process.naming import VARIABLES

        try:
            return super().render_template(content, context, jinja_env, seen_oids)
        except UndefinedError as error:
            name = str(error).split("'")[1:2]
            if name and name[0] in VARIABLES:
                problem = (
                    f"write {{{name[0]}}} in single braces, because double ones are Jinja's: {content!r}"
                )
                raise final(refusal(self.task_id, [problem]), submits=True) from None
            raise
