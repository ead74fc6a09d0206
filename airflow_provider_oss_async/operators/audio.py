"""Operators for audio: transcoding and merging."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import conf

from airflow_provider_oss_async.operators.base import DEFAULT_TIMEOUT
from airflow_provider_oss_async.operators.specification import OSSSpecificationOperator
from airflow_provider_oss_async.process import AudioConcat, AudioConvert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from typing import Any, Literal, Unpack

    from airflow.sdk import XComArg

    from airflow_provider_oss_async.operators.arguments import Clip, TaskArguments


class OSSAudioConvertOperator(OSSSpecificationOperator):
    """Transcode audio.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket;
        or the result of a task with exactly one output, as ``source=convert.output`` (templated)
    :param target: where the result goes, in the first two forms; the key may hold OSS's variables such as
        ``{index}`` and ``{autoext}`` (templated)
    :param container: Format of the result; it decides the codec. One of mp3, aac, flac, oga, ac3, opus, amr.
        Required. Wire key ``f``. (templated)
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``. (templated)
    :param duration: How much to process; 0 means to the end. Seconds or a timedelta from 0 to 1000000000 s.
        Default: to the end. Wire key ``t``. (templated)
    :param sample_rate: Audio sample rate. mp3 up to 48000; opus 8000, 12000, 16000, 24000, 48000; ac3 32000,
        44100, 48000; amr 8000, 16000. A whole number from 8000 to 96000 Hz. Default: the source's. Wire key
        ``ar``. (templated)
    :param channels: Audio channels. mp3 up to 2; ac3 up to 6; amr 1. A whole number from 1 to 8. Default: the
        source's. Wire key ``ac``. (templated)
    :param audio_quality: Audio quality, higher is better. A whole number from 0 to 100. Not with
        ``audio_bitrate``. Default: not documented. Wire key ``aq``. (templated)
    :param audio_bitrate: Audio bit rate. A whole number from 1000 to 10000000 bit/s. Default: not documented.
        Wire key ``ab``. (templated)
    :param audio_bitrate_if_lower: What to do where the source's audio bit rate is below audio_bitrate. One of
        convert, keep_source, fail. Only with ``audio_bitrate``. Default: convert. Wire key ``abopt``.
        (templated)
    :param bit_depth: Audio bit depth, 16 or 24; flac only. A whole number from 16 to 24 bit. Default: not
        documented. Wire key ``adepth``. (templated)
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

    specification = AudioConvert

    def __init__(  # made by python -m tests.generate
        self,
        *,
        source: str | Mapping[str, Any] | XComArg,
        target: str | XComArg | None = None,
        container: Literal["mp3", "aac", "flac", "oga", "ac3", "opus", "amr"] | str | XComArg,
        start: float | timedelta | str | XComArg | None = None,
        duration: float | timedelta | str | XComArg | None = None,
        sample_rate: int | str | XComArg | None = None,
        channels: int | str | XComArg | None = None,
        audio_quality: int | str | XComArg | None = None,
        audio_bitrate: int | str | XComArg | None = None,
        audio_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2]
        | str
        | XComArg
        | None = None,
        bit_depth: int | str | XComArg | None = None,
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
        self.container = container
        self.start = start
        self.duration = duration
        self.sample_rate = sample_rate
        self.channels = channels
        self.audio_quality = audio_quality
        self.audio_bitrate = audio_bitrate
        self.audio_bitrate_if_lower = audio_bitrate_if_lower
        self.bit_depth = bit_depth


class OSSAudioConcatOperator(OSSSpecificationOperator):
    """Merge audio files into one; ``before`` and ``after`` name those that play before and after the source.

    The arguments are all of :class:`OSSAudioConvertOperator`, and ``align``, ``before`` and ``after``.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket;
        or the result of a task with exactly one output, as ``source=convert.output`` (templated)
    :param target: where the result goes, in the first two forms; the key may hold OSS's variables such as
        ``{index}`` and ``{autoext}`` (templated)
    :param container: Format of the result; it decides the codec. One of mp3, aac, flac, oga, ac3, opus, amr.
        Required. Wire key ``f``. (templated)
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``. (templated)
    :param duration: How much to process; 0 means to the end. Seconds or a timedelta from 0 to 1000000000 s.
        Default: to the end. Wire key ``t``. (templated)
    :param sample_rate: Audio sample rate. mp3 up to 48000; opus 8000, 12000, 16000, 24000, 48000; ac3 32000,
        44100, 48000; amr 8000, 16000. A whole number from 8000 to 96000 Hz. Default: the source's. Wire key
        ``ar``. (templated)
    :param channels: Audio channels. mp3 up to 2; ac3 up to 6; amr 1. A whole number from 1 to 8. Default: the
        source's. Wire key ``ac``. (templated)
    :param audio_quality: Audio quality, higher is better. A whole number from 0 to 100. Not with
        ``audio_bitrate``. Default: not documented. Wire key ``aq``. (templated)
    :param audio_bitrate: Audio bit rate. A whole number from 1000 to 10000000 bit/s. Default: not documented.
        Wire key ``ab``. (templated)
    :param audio_bitrate_if_lower: What to do where the source's audio bit rate is below audio_bitrate. One of
        convert, keep_source, fail. Only with ``audio_bitrate``. Default: convert. Wire key ``abopt``.
        (templated)
    :param bit_depth: Audio bit depth, 16 or 24; flac only. A whole number from 16 to 24 bit. Default: not
        documented. Wire key ``adepth``. (templated)
    :param align: Position, counted from 0 in play order, of the object whose properties the result has by
        default. A whole number from 0 to 10. Default: 0. Wire key ``align``. (templated)
    :param before: Objects that play before the source, in this order. A list of up to 10 objects, each a key
        or {object: key, start: seconds, duration: seconds} of which only the object is required (a list that
        a template makes needs render_template_as_native_obj=True). Default: not documented. Wire key ``pre``.
        (templated)
    :param after: Objects that play after the source, in this order. A list of up to 10 objects, each a key or
        {object: key, start: seconds, duration: seconds} of which only the object is required (a list that a
        template makes needs render_template_as_native_obj=True). Default: not documented. Wire key ``sur``.
        (templated)
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

    specification = AudioConcat

    def __init__(  # made by python -m tests.generate
        self,
        *,
        source: str | Mapping[str, Any] | XComArg,
        target: str | XComArg | None = None,
        container: Literal["mp3", "aac", "flac", "oga", "ac3", "opus", "amr"] | str | XComArg,
        start: float | timedelta | str | XComArg | None = None,
        duration: float | timedelta | str | XComArg | None = None,
        sample_rate: int | str | XComArg | None = None,
        channels: int | str | XComArg | None = None,
        audio_quality: int | str | XComArg | None = None,
        audio_bitrate: int | str | XComArg | None = None,
        audio_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2]
        | str
        | XComArg
        | None = None,
        bit_depth: int | str | XComArg | None = None,
        align: int | str | XComArg | None = None,
        before: Sequence[Clip | str | XComArg] | str | XComArg | None = None,
        after: Sequence[Clip | str | XComArg] | str | XComArg | None = None,
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
        self.container = container
        self.start = start
        self.duration = duration
        self.sample_rate = sample_rate
        self.channels = channels
        self.audio_quality = audio_quality
        self.audio_bitrate = audio_bitrate
        self.audio_bitrate_if_lower = audio_bitrate_if_lower
        self.bit_depth = bit_depth
        self.align = align
        self.before = before
        self.after = after
