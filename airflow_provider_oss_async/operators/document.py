"""Operator for office documents and PDF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import conf

from airflow_provider_oss_async.operators.base import DEFAULT_TIMEOUT
from airflow_provider_oss_async.operators.specification import OSSSpecificationOperator
from airflow_provider_oss_async.process import DocumentConvert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from typing import Any, Literal, Unpack

    from airflow.sdk import XComArg

    from airflow_provider_oss_async.operators.arguments import TaskArguments


class OSSDocumentConvertOperator(OSSSpecificationOperator):
    """Convert an office document or a PDF to page images, a PDF or plain text.

    For images give a target with ``{index}``, such as ``pages/{index}.png``.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket;
        or the result of a task with exactly one output, as ``source=convert.output`` (templated)
    :param target: where the result goes, in the first two forms; the key may hold OSS's variables such as
        ``{index}`` and ``{autoext}`` (templated)
    :param target_format: Format of the result. txt is for text and presentation sources. One of pdf, png,
        jpg, txt. Required. Wire key ``target``. (templated)
    :param source_format: Format of the source; give it where the key has no extension or a wrong one. Text
        such as doc, docx, wps, wpss, docm, dotm, dot, dotx, html, pptx, ppt, pot, potx, pps, ppsx, dps, dpt,
        pptm, potm, ppsm, dpss, xls, xlt, et, ett, xlsx, xltx, csv, xlsb, xlsm, xltm, ets, pdf, wpt, txt, rtf,
        log, xml, htm, lrc, c, cpp, h, asm, s, java, asp, bat, bas, prg, cmd. Default: the source's extension.
        Wire key ``source``. (templated)
    :param pages: Pages to convert. Page numbers and ranges such as 1,2,4-10, as text, or one number, or a
        list of both. Default: all pages. Wire key ``pages``. (templated)
    :param if_target_exists: ``"overwrite"`` it; ``"skip"`` the job if the target is newer than the source and
        not empty, and return it as the result, so that nothing is paid (of several outputs one is enough;
        outlets get their event all the same, with the status ``skipped`` in its extra); or ``"fail"``.
        Default ``"overwrite"`` (templated)
    :param if_target_triggers: where the run was started by events of an ``OSSEventTrigger``, and the target
        lies under what that watches, so that the DAG would start itself again and again: ``"fail"`` before
        anything is paid, or ``"warn"`` in the log. Default ``"fail"`` (templated)
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

    specification = DocumentConvert

    def __init__(  # made by python -m tests.generate
        self,
        *,
        source: str | Mapping[str, Any] | XComArg,
        target: str | XComArg | None = None,
        target_format: Literal["pdf", "png", "jpg", "txt"] | str | XComArg,
        source_format: str | str | XComArg | None = None,
        pages: str | int | Sequence[int | str] | XComArg | None = None,
        if_target_exists: Literal["overwrite", "skip", "fail"] | str | XComArg = "overwrite",
        if_target_triggers: Literal["fail", "warn"] | str | XComArg = "fail",
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
            "target": target,
            "if_target_exists": if_target_exists,
            "if_target_triggers": if_target_triggers,
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
        self.target_format = target_format
        self.source_format = source_format
        self.pages = pages
