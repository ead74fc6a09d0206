"""Operator for blind watermarks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from airflow.sdk import conf

from airflow_provider_oss_async.operators.base import DEFAULT_TIMEOUT
from airflow_provider_oss_async.operators.specification import OSSSpecificationOperator
from airflow_provider_oss_async.process import DecodeBlindWatermark

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from typing import Any, Literal, Unpack

    from airflow.sdk import Context, XComArg

    from airflow_provider_oss_async.exceptions import OSSAsyncError
    from airflow_provider_oss_async.operators.arguments import TaskArguments

#: What code or message of a failed job say where there is no watermark. Neither is documented.
_NO_WATERMARK = re.compile(
    r"watermark\W*not\W*(found|exist|detected)"
    r"|(no|without|contains? no|not contain|not find|not found)\s+(any |a |the )?(blind ?)?watermark",
    re.IGNORECASE,
)


class OSSDecodeBlindWatermarkOperator(OSSSpecificationOperator):
    """Read the blind watermark of an image. Takes no target: the text is ``content`` in the result.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket;
        or the result of a task with exactly one output, as ``source=convert.output`` (templated)
    :param strength: Effort of the extraction; give the strength the mark was embedded with. Text such as low,
        medium, high. Default: low. Wire key ``s``. (templated)
    :param watermark_type: Kind of the watermark. Text such as text. Default: text. Wire key ``t``.
        (templated)
    :param missing_ok: let the task succeed where the image has no watermark, with ``content`` ``None`` and
        the job's ``status`` ``failed``. What the service answers then is not documented: a failed job counts
        whose code or message says that there is none, and an empty text. Default ``False``
    :param notify_topic: SMQ topic that the service tells when the job has ended (templated)
    :param extra_params: wire keys and values, text or numbers, added to the process string as they are
        (templated)
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning instead of an error. Default ``False``
    :param completion: how the end of the job is learned: ``"imm"`` polls IMM; ``"smq"`` does so, in
        deferrable mode, when a message comes to the queue of the connection, and adds the connection's topic
        to the request where ``notify_topic`` is not given; ``"object"`` waits for the target object to
        appear, for accounts without rights on IMM. Default ``"imm"`` (templated)
    :param wait_for_completion: ``False`` returns the job as soon as it is submitted; not with ``outlets``,
        whose events would be sent before there is an object. Default ``True``
    :param verify_output: check the output once the job has succeeded: ``"exists"``, that it is there, not
        empty, and newer than the submission; ``"media"``, also that container, codecs, sizes, rates and
        durations are as asked for, by OSS's own information about media, which is billed and needs the right
        ``imm:DetectMediaMeta``. What could not be checked is a warning. Default ``None``, no check
        (templated)
    :param if_output_differs: where the output is not what was asked for, ``"fail"`` the task with
        ``OSSOutputMismatchError``, or ``"warn"``. Default ``"fail"`` (templated)
    :param deferrable: wait in the triggerer; default ``[operators] default_deferrable``
    :param end_from_trigger: in deferrable mode, end the task in the triggerer when the job has succeeded,
        without waking a worker. A task with outlets, ``post_execute``, ``on_success_callback``, an
        ``execute_complete`` of its own or ``multiple_outputs`` ends on a worker all the same, and so does
        every task where a plugin listens to task events (OpenLineage). Default ``False``
    :param poll_interval: seconds between two polls of the job at most, above 0, up to 3600. Default 30, for
        ``"smq"`` 300; polls begin 2 s apart (``[oss_async] min_poll_interval``), for ``"smq"`` 15 s
    :param timeout: seconds (or a ``timedelta``) to wait at most, from the submission or a retry's start; at
        most 6.5 days, because the service forgets jobs after 7. Default 6 hours
    :param on_uncertain_submit: what to do where it cannot be decided whether a request whose answer was lost
        has started a job: ``"fail"`` the task, or ``"resubmit"`` and perhaps pay twice. Default ``"fail"``
        (templated)
    :param retry_failed_job: let ``retries`` submit a new job after any failure of a job. By default (Airflow
        3.3 and later) failures that no retry can mend are final; ``retry_policy`` replaces that. Default
        ``False``
    :param durable: remember the job in the task state store (Airflow 3.3 and later), so that a retry
        reconnects to it. Default ``True``
    :param imm_project: IMM project the bucket is bound to; default the connection's, else looked up
        (templated)
    :param region: takes the place of the connection's region (templated)
    :param oss_conn_id: Airflow connection. Default ``"oss_async_default"`` (templated)
    """

    specification = DecodeBlindWatermark
    own_arguments: ClassVar[tuple[str, ...]] = ("missing_ok",)

    def __init__(  # made by python -m tests.generate
        self,
        *,
        source: str | Mapping[str, Any] | XComArg,
        strength: Literal["low", "medium", "high"] | str | XComArg | None = None,
        watermark_type: Literal["text"] | str | XComArg | None = None,
        missing_ok: bool = False,
        notify_topic: str | XComArg | None = None,
        extra_params: Mapping[str, str | float] | str | XComArg | None = None,
        allow_ignored: bool = False,
        completion: Literal["imm", "smq", "object"] | str | XComArg = "imm",
        wait_for_completion: bool = True,
        verify_output: Literal["exists", "media"] | str | XComArg | None = None,
        if_output_differs: Literal["fail", "warn"] | str | XComArg = "fail",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        on_uncertain_submit: Literal["fail", "resubmit"] | str | XComArg = "fail",
        retry_failed_job: bool = False,
        durable: bool = True,
        imm_project: str | XComArg | None = None,
        region: str | XComArg | None = None,
        oss_conn_id: str | XComArg = "oss_async_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        common: dict[str, Any] = {
            "source": source,
            "notify_topic": notify_topic,
            "extra_params": extra_params,
            "allow_ignored": allow_ignored,
            "completion": completion,
            "wait_for_completion": wait_for_completion,
            "verify_output": verify_output,
            "if_output_differs": if_output_differs,
            "deferrable": deferrable,
            "end_from_trigger": end_from_trigger,
            "poll_interval": poll_interval,
            "timeout": timeout,
            "on_uncertain_submit": on_uncertain_submit,
            "retry_failed_job": retry_failed_job,
            "durable": durable,
            "imm_project": imm_project,
            "region": region,
            "oss_conn_id": oss_conn_id,
        }
        super().__init__(**common, **kwargs)
        self.strength = strength
        self.watermark_type = watermark_type
        self.missing_ok = missing_ok

    def _succeed(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        if self.missing_ok and not result.get("content"):
            result = {**result, "content": None}
        return super()._succeed(context, result)

    def _result_in_place_of(self, error: OSSAsyncError) -> dict[str, Any]:
        if not self.missing_ok or not _NO_WATERMARK.search(f"{error.code} {error.detail}"):
            raise error
        self.log.info("The image has no watermark: %s", error)
        return {**error.job, "status": "failed", "finished_at": "", "outputs": [], "content": None}
