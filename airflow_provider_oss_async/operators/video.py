"""Operators for video: transcoding, merging, animations, frames and sprites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import conf

from airflow_provider_oss_async.operators.base import DEFAULT_TIMEOUT
from airflow_provider_oss_async.operators.specification import OSSSpecificationOperator
from airflow_provider_oss_async.process import (
    VideoAnimation,
    VideoConcat,
    VideoConvert,
    VideoSnapshots,
    VideoSprite,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from typing import Any, Literal, Unpack

    from airflow.sdk import XComArg

    from airflow_provider_oss_async.operators.arguments import Clip, TaskArguments


class OSSVideoConvertOperator(OSSSpecificationOperator):
    """Transcode a video, put it into another container, cut it, or take its audio out.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket;
        or the result of a task with exactly one output, as ``source=convert.output`` (templated)
    :param target: where the result goes, in the first two forms; the key may hold OSS's variables such as
        ``{index}`` and ``{autoext}`` (templated)
    :param container: Container of the result; the audio ones hold no video. One of mp4, mkv, mov, asf, avi,
        mxf, ts, flv, webm, mp3, aac, flac, oga, ac3, opus, amr. Required. Wire key ``f``. (templated)
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``. (templated)
    :param duration: How much to process; 0 means to the end. Seconds or a timedelta from 0 to 1000000000 s.
        Default: to the end. Wire key ``t``. (templated)
    :param no_video: Drop the video. True or false. Default: false. Wire key ``vn``. (templated)
    :param video_codec: Video codec. With copy the stream is kept and every other video argument is ignored.
        Text such as copy, h264, h265, vp9. Default: copy. Wire key ``vcodec``. (templated)
    :param audio_codec: Audio codec; copy keeps the stream. Text such as copy, mp3, aac, flac, vorbis, ac3,
        opus, amr, pcm. Default: copy. Wire key ``acodec``. (templated)
    :param frame_rate: Frame rate. A number above 0 to 240 fps. Default: the source's. Wire key ``fps``.
        (templated)
    :param frame_rate_if_lower: What to do where the source's frame rate is below frame_rate. One of convert,
        keep_source, fail. Only with ``frame_rate``. Default: convert. Wire key ``fpsopt``. (templated)
    :param pixel_format: Pixel format; yuva420p only with vp9. Text such as yuv420p, yuv422p, yuv444p,
        yuv420p10le, yuv422p10le, yuv444p10le, yuva420p. Default: the source's. Wire key ``pixfmt``.
        (templated)
    :param width: Width; where only this is given, the height follows from the source's shape. An even whole
        number from 64 to 4096 px. Default: the source's. Wire key ``s``. (templated)
    :param height: Height; where only this is given, the width follows from the source's shape. An even whole
        number from 64 to 4096 px. Default: the source's. Wire key ``s``. (templated)
    :param size_if_smaller: What to do where the source's area is below width x height. One of convert,
        keep_source, fail. Only with ``width`` or ``height``. Default: convert. Wire key ``sopt``. (templated)
    :param fit: How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, fill adds
        black bars, fit keeps the shape inside the size. Text such as stretch, crop, fill, fit. Only with
        ``width`` or ``height``. Default: stretch. Wire key ``scaletype``. (templated)
    :param adapt_orientation: Whether width and height are the long and the short side, whatever the source's
        orientation is. The documentation is unsure of the service's default, so it is always sent with a
        size. True or false. Only with ``width`` or ``height``. Default: false. Wire key ``arotate``.
        (templated)
    :param keyframe_interval: Most frames from one keyframe to the next. A whole number from 1 to 100000.
        Default: 150. Wire key ``g``. (templated)
    :param video_bitrate: Video bit rate. A whole number from 10000 to 100000000 bit/s. Not with ``crf``.
        Default: constant quality, crf 23. Wire key ``vb``. (templated)
    :param video_bitrate_if_lower: What to do where the source's video bit rate is below video_bitrate. One of
        convert, keep_source, fail. Only with ``video_bitrate``. Default: convert. Wire key ``vbopt``.
        (templated)
    :param crf: Constant quality, lower is better; 18 to 38 is usual. A number from 0 to 51. Default: 23. Wire
        key ``crf``. (templated)
    :param max_bitrate: Maximum bit rate with crf; needs buffer_size. A whole number from 10000 to 100000000
        bit/s. Only with ``crf``. Default: not documented. Wire key ``maxrate``. (templated)
    :param buffer_size: Rate control buffer with crf. A whole number from 10000 to 200000000 bit. Only with
        ``crf``. Default: not documented. Wire key ``bufsize``. (templated)
    :param no_audio: Drop the audio. True or false. Default: false. Wire key ``an``. (templated)
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
    :param no_subtitles: Drop the subtitles. True or false. Default: false. Wire key ``sn``. (templated)
    :param narrowband_hd: Narrowband HD: fewer bits at the same visual quality. h264 or h265 in yuv420p only
        (described by IMM, not by the OSS page). True or false. Default: false. Wire key ``videoslim``.
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

    specification = VideoConvert

    def __init__(  # made by python -m tests.generate
        self,
        *,
        source: str | Mapping[str, Any] | XComArg,
        target: str | XComArg | None = None,
        container: Literal[
            "mp4",
            "mkv",
            "mov",
            "asf",
            "avi",
            "mxf",
            "ts",
            "flv",
            "webm",
            "mp3",
            "aac",
            "flac",
            "oga",
            "ac3",
            "opus",
            "amr",
        ]
        | str
        | XComArg,
        start: float | timedelta | str | XComArg | None = None,
        duration: float | timedelta | str | XComArg | None = None,
        no_video: bool | Literal[0, 1] | str | XComArg | None = None,
        video_codec: Literal["copy", "h264", "h265", "vp9"] | str | XComArg | None = None,
        audio_codec: Literal["copy", "mp3", "aac", "flac", "vorbis", "ac3", "opus", "amr", "pcm"]
        | str
        | XComArg
        | None = None,
        frame_rate: float | str | XComArg | None = None,
        frame_rate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | XComArg | None = None,
        pixel_format: Literal[
            "yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuva420p"
        ]
        | str
        | XComArg
        | None = None,
        width: int | str | XComArg | None = None,
        height: int | str | XComArg | None = None,
        size_if_smaller: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | XComArg | None = None,
        fit: Literal["stretch", "crop", "fill", "fit"] | str | XComArg | None = None,
        adapt_orientation: bool | Literal[0, 1] | str | XComArg | None = None,
        keyframe_interval: int | str | XComArg | None = None,
        video_bitrate: int | str | XComArg | None = None,
        video_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2]
        | str
        | XComArg
        | None = None,
        crf: float | str | XComArg | None = None,
        max_bitrate: int | str | XComArg | None = None,
        buffer_size: int | str | XComArg | None = None,
        no_audio: bool | Literal[0, 1] | str | XComArg | None = None,
        sample_rate: int | str | XComArg | None = None,
        channels: int | str | XComArg | None = None,
        audio_quality: int | str | XComArg | None = None,
        audio_bitrate: int | str | XComArg | None = None,
        audio_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2]
        | str
        | XComArg
        | None = None,
        bit_depth: int | str | XComArg | None = None,
        no_subtitles: bool | Literal[0, 1] | str | XComArg | None = None,
        narrowband_hd: bool | Literal[0, 1] | str | XComArg | None = None,
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
        self.no_video = no_video
        self.video_codec = video_codec
        self.audio_codec = audio_codec
        self.frame_rate = frame_rate
        self.frame_rate_if_lower = frame_rate_if_lower
        self.pixel_format = pixel_format
        self.width = width
        self.height = height
        self.size_if_smaller = size_if_smaller
        self.fit = fit
        self.adapt_orientation = adapt_orientation
        self.keyframe_interval = keyframe_interval
        self.video_bitrate = video_bitrate
        self.video_bitrate_if_lower = video_bitrate_if_lower
        self.crf = crf
        self.max_bitrate = max_bitrate
        self.buffer_size = buffer_size
        self.no_audio = no_audio
        self.sample_rate = sample_rate
        self.channels = channels
        self.audio_quality = audio_quality
        self.audio_bitrate = audio_bitrate
        self.audio_bitrate_if_lower = audio_bitrate_if_lower
        self.bit_depth = bit_depth
        self.no_subtitles = no_subtitles
        self.narrowband_hd = narrowband_hd


class OSSVideoAnimationOperator(OSSSpecificationOperator):
    """Turn a video into an animated GIF or WebP.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket;
        or the result of a task with exactly one output, as ``source=convert.output`` (templated)
    :param target: where the result goes, in the first two forms; the key may hold OSS's variables such as
        ``{index}`` and ``{autoext}`` (templated)
    :param format: Format of the result. One of gif, webp. Required. Wire key ``f``. (templated)
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``. (templated)
    :param count: Most frames to take; 0 for no limit. A whole number from 0 to 2147483647. Default: no limit.
        Wire key ``num``. (templated)
    :param interval: Time from one frame to the next; 0 takes every frame. Seconds or a timedelta from 0 to
        1000000000 s. Default: every frame. Wire key ``inter``. (templated)
    :param frame_rate: Play speed of the result. A number above 0 to 240 fps. Default: one frame per interval.
        Wire key ``fps``. (templated)
    :param width: Width. Give both sides: the service does not document what happens to the other one; the
        local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the source's. Wire key
        ``w``. (templated)
    :param height: Height. Give both sides: the service does not document what happens to the other one; the
        local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the source's. Wire key
        ``h``. (templated)
    :param fit: How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, fill adds
        black bars, fit keeps the shape inside the size. Text such as stretch, crop, fill, fit. Default:
        stretch. Wire key ``scaletype``. (templated)
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

    specification = VideoAnimation

    def __init__(  # made by python -m tests.generate
        self,
        *,
        source: str | Mapping[str, Any] | XComArg,
        target: str | XComArg | None = None,
        format: Literal["gif", "webp"] | str | XComArg,
        start: float | timedelta | str | XComArg | None = None,
        count: int | str | XComArg | None = None,
        interval: float | timedelta | str | XComArg | None = None,
        frame_rate: float | str | XComArg | None = None,
        width: int | str | XComArg | None = None,
        height: int | str | XComArg | None = None,
        fit: Literal["stretch", "crop", "fill", "fit"] | str | XComArg | None = None,
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
        self.format = format
        self.start = start
        self.count = count
        self.interval = interval
        self.frame_rate = frame_rate
        self.width = width
        self.height = height
        self.fit = fit


class OSSVideoSnapshotsOperator(OSSSpecificationOperator):
    """Take frames of a video as images.

    Give a target without extension (``frames/f`` becomes ``frames/f_0_1.jpg`` and so on) or with ``{index}``.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket;
        or the result of a task with exactly one output, as ``source=convert.output`` (templated)
    :param target: where the result goes, in the first two forms; the key may hold OSS's variables such as
        ``{index}`` and ``{autoext}`` (templated)
    :param format: Format of the images. One of jpg, png. Required. Wire key ``f``. (templated)
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``. (templated)
    :param sampling: How frames are chosen: inter by interval, key keyframes, avg evenly spread (needs count),
        dhash where the picture changes. Text such as inter, key, avg, dhash. Default: inter. Wire key ``m``.
        (templated)
    :param change_threshold: How much the picture must change with sampling dhash; at most 25 is advised. A
        whole number from 0 to 100. Default: 0. Wire key ``thr``. (templated)
    :param count: Most frames to take; 0 for no limit. A whole number from 0 to 2147483647. Default: no limit.
        Wire key ``num``. (templated)
    :param interval: Time from one frame to the next; 0 takes every frame. Seconds or a timedelta from 0 to
        1000000000 s. Default: every frame. Wire key ``inter``. (templated)
    :param width: Width. Give both sides: the service does not document what happens to the other one; the
        local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the source's. Wire key
        ``w``. (templated)
    :param height: Height. Give both sides: the service does not document what happens to the other one; the
        local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the source's. Wire key
        ``h``. (templated)
    :param width_percent: Width in per cent of the source's. A whole number from 1 to 200 %. Default: 100.
        Wire key ``pw``. (templated)
    :param height_percent: Height in per cent of the source's. A whole number from 1 to 200 %. Default: 100.
        Wire key ``ph``. (templated)
    :param fit: How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, fill adds
        black bars, fit keeps the shape inside the size. Text such as stretch, crop, fill, fit. Default:
        stretch. Wire key ``scaletype``. (templated)
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

    specification = VideoSnapshots

    def __init__(  # made by python -m tests.generate
        self,
        *,
        source: str | Mapping[str, Any] | XComArg,
        target: str | XComArg | None = None,
        format: Literal["jpg", "png"] | str | XComArg,
        start: float | timedelta | str | XComArg | None = None,
        sampling: Literal["inter", "key", "avg", "dhash"] | str | XComArg | None = None,
        change_threshold: int | str | XComArg | None = None,
        count: int | str | XComArg | None = None,
        interval: float | timedelta | str | XComArg | None = None,
        width: int | str | XComArg | None = None,
        height: int | str | XComArg | None = None,
        width_percent: int | str | XComArg | None = None,
        height_percent: int | str | XComArg | None = None,
        fit: Literal["stretch", "crop", "fill", "fit"] | str | XComArg | None = None,
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
        self.format = format
        self.start = start
        self.sampling = sampling
        self.change_threshold = change_threshold
        self.count = count
        self.interval = interval
        self.width = width
        self.height = height
        self.width_percent = width_percent
        self.height_percent = height_percent
        self.fit = fit


class OSSVideoSpriteOperator(OSSSpecificationOperator):
    """Take frames of a video and lay them out on a sheet.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket;
        or the result of a task with exactly one output, as ``source=convert.output`` (templated)
    :param target: where the result goes, in the first two forms; the key may hold OSS's variables such as
        ``{index}`` and ``{autoext}`` (templated)
    :param format: Format of the images. One of jpg, png. Required. Wire key ``f``. (templated)
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``. (templated)
    :param sampling: How frames are chosen: inter by interval, key keyframes, avg evenly spread (needs count),
        dhash where the picture changes. Text such as inter, key, avg, dhash. Default: inter. Wire key ``m``.
        (templated)
    :param change_threshold: How much the picture must change with sampling dhash; at most 25 is advised. A
        whole number from 0 to 100. Default: 0. Wire key ``thr``. (templated)
    :param count: Most frames to take; 0 for no limit. A whole number from 0 to 2147483647. Default: no limit.
        Wire key ``num``. (templated)
    :param interval: Time from one frame to the next; 0 takes every frame. Seconds or a timedelta from 0 to
        1000000000 s. Default: every frame. Wire key ``inter``. (templated)
    :param tile_width: Width of a tile. Give both sides: the service does not document what happens to the
        other one; the local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the
        source's. Wire key ``sw``. (templated)
    :param tile_height: Height of a tile. Give both sides: the service does not document what happens to the
        other one; the local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the
        source's. Wire key ``sh``. (templated)
    :param tile_width_percent: Width of a tile in per cent of the source's. A whole number from 1 to 200 %.
        Default: 100. Wire key ``psw``. (templated)
    :param tile_height_percent: Height of a tile in per cent of the source's. A whole number from 1 to 200 %.
        Default: 100. Wire key ``psh``. (templated)
    :param fit: How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, fill adds
        black bars, fit keeps the shape inside the size. Text such as stretch, crop, fill, fit. Default:
        stretch. Wire key ``scaletype``. (templated)
    :param columns: Tiles in a row (range and default from IMM). A whole number from 1 to 100. Default: 6.
        Wire key ``tw``. (templated)
    :param rows: Tiles in a column (range and default from IMM). A whole number from 1 to 100. Default: 6.
        Wire key ``th``. (templated)
    :param padding: Gap between tiles (from IMM). A whole number from 0 to 100 px. Default: 2. Wire key
        ``pad``. (templated)
    :param margin: Outer border (from IMM). A whole number from 0 to 100 px. Default: 2. Wire key ``margin``.
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

    specification = VideoSprite

    def __init__(  # made by python -m tests.generate
        self,
        *,
        source: str | Mapping[str, Any] | XComArg,
        target: str | XComArg | None = None,
        format: Literal["jpg", "png"] | str | XComArg,
        start: float | timedelta | str | XComArg | None = None,
        sampling: Literal["inter", "key", "avg", "dhash"] | str | XComArg | None = None,
        change_threshold: int | str | XComArg | None = None,
        count: int | str | XComArg | None = None,
        interval: float | timedelta | str | XComArg | None = None,
        tile_width: int | str | XComArg | None = None,
        tile_height: int | str | XComArg | None = None,
        tile_width_percent: int | str | XComArg | None = None,
        tile_height_percent: int | str | XComArg | None = None,
        fit: Literal["stretch", "crop", "fill", "fit"] | str | XComArg | None = None,
        columns: int | str | XComArg | None = None,
        rows: int | str | XComArg | None = None,
        padding: int | str | XComArg | None = None,
        margin: int | str | XComArg | None = None,
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
        self.format = format
        self.start = start
        self.sampling = sampling
        self.change_threshold = change_threshold
        self.count = count
        self.interval = interval
        self.tile_width = tile_width
        self.tile_height = tile_height
        self.tile_width_percent = tile_width_percent
        self.tile_height_percent = tile_height_percent
        self.fit = fit
        self.columns = columns
        self.rows = rows
        self.padding = padding
        self.margin = margin


class OSSVideoConcatOperator(OSSSpecificationOperator):
    """Merge videos into one; ``before`` and ``after`` name those that play before and after the source.

    The arguments are all of :class:`OSSVideoConvertOperator`, except ``no_video`` and ``narrowband_hd``, and
    ``align``, ``before`` and ``after``. Both codecs are required, and none can be copied.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket;
        or the result of a task with exactly one output, as ``source=convert.output`` (templated)
    :param target: where the result goes, in the first two forms; the key may hold OSS's variables such as
        ``{index}`` and ``{autoext}`` (templated)
    :param container: Container of the result; the audio ones hold no video. One of mp4, mkv, mov, asf, avi,
        mxf, ts, flv, webm, mp3, aac, flac, oga, ac3, opus, amr. Required. Wire key ``f``. (templated)
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``. (templated)
    :param duration: How much to process; 0 means to the end. Seconds or a timedelta from 0 to 1000000000 s.
        Default: to the end. Wire key ``t``. (templated)
    :param video_codec: Video codec; merging cannot copy. Text such as h264, h265, vp9. Required. Wire key
        ``vcodec``. (templated)
    :param audio_codec: Audio codec; merging cannot copy. Text such as mp3, aac, flac, vorbis, ac3, opus, amr,
        pcm. Required. Wire key ``acodec``. (templated)
    :param frame_rate: Frame rate. A number above 0 to 240 fps. Default: the source's. Wire key ``fps``.
        (templated)
    :param frame_rate_if_lower: What to do where the source's frame rate is below frame_rate. One of convert,
        keep_source, fail. Only with ``frame_rate``. Default: convert. Wire key ``fpsopt``. (templated)
    :param pixel_format: Pixel format; yuva420p only with vp9. Text such as yuv420p, yuv422p, yuv444p,
        yuv420p10le, yuv422p10le, yuv444p10le, yuva420p. Default: the source's. Wire key ``pixfmt``.
        (templated)
    :param width: Width; where only this is given, the height follows from the source's shape. An even whole
        number from 64 to 4096 px. Default: the source's. Wire key ``s``. (templated)
    :param height: Height; where only this is given, the width follows from the source's shape. An even whole
        number from 64 to 4096 px. Default: the source's. Wire key ``s``. (templated)
    :param size_if_smaller: What to do where the source's area is below width x height. One of convert,
        keep_source, fail. Only with ``width`` or ``height``. Default: convert. Wire key ``sopt``. (templated)
    :param fit: How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, fill adds
        black bars, fit keeps the shape inside the size. Text such as stretch, crop, fill, fit. Only with
        ``width`` or ``height``. Default: stretch. Wire key ``scaletype``. (templated)
    :param adapt_orientation: Whether width and height are the long and the short side, whatever the source's
        orientation is. The documentation is unsure of the service's default, so it is always sent with a
        size. True or false. Only with ``width`` or ``height``. Default: false. Wire key ``arotate``.
        (templated)
    :param keyframe_interval: Most frames from one keyframe to the next. A whole number from 1 to 100000.
        Default: 150. Wire key ``g``. (templated)
    :param video_bitrate: Video bit rate. A whole number from 10000 to 100000000 bit/s. Not with ``crf``.
        Default: constant quality, crf 23. Wire key ``vb``. (templated)
    :param video_bitrate_if_lower: What to do where the source's video bit rate is below video_bitrate. One of
        convert, keep_source, fail. Only with ``video_bitrate``. Default: convert. Wire key ``vbopt``.
        (templated)
    :param crf: Constant quality, lower is better; 18 to 38 is usual. A number from 0 to 51. Default: 23. Wire
        key ``crf``. (templated)
    :param max_bitrate: Maximum bit rate with crf; needs buffer_size. A whole number from 10000 to 100000000
        bit/s. Only with ``crf``. Default: not documented. Wire key ``maxrate``. (templated)
    :param buffer_size: Rate control buffer with crf. A whole number from 10000 to 200000000 bit. Only with
        ``crf``. Default: not documented. Wire key ``bufsize``. (templated)
    :param no_audio: Drop the audio. True or false. Default: false. Wire key ``an``. (templated)
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
    :param no_subtitles: Drop the subtitles. True or false. Default: false. Wire key ``sn``. (templated)
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

    specification = VideoConcat

    def __init__(  # made by python -m tests.generate
        self,
        *,
        source: str | Mapping[str, Any] | XComArg,
        target: str | XComArg | None = None,
        container: Literal[
            "mp4",
            "mkv",
            "mov",
            "asf",
            "avi",
            "mxf",
            "ts",
            "flv",
            "webm",
            "mp3",
            "aac",
            "flac",
            "oga",
            "ac3",
            "opus",
            "amr",
        ]
        | str
        | XComArg,
        start: float | timedelta | str | XComArg | None = None,
        duration: float | timedelta | str | XComArg | None = None,
        video_codec: Literal["h264", "h265", "vp9"] | str | XComArg,
        audio_codec: Literal["mp3", "aac", "flac", "vorbis", "ac3", "opus", "amr", "pcm"] | str | XComArg,
        frame_rate: float | str | XComArg | None = None,
        frame_rate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | XComArg | None = None,
        pixel_format: Literal[
            "yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuva420p"
        ]
        | str
        | XComArg
        | None = None,
        width: int | str | XComArg | None = None,
        height: int | str | XComArg | None = None,
        size_if_smaller: Literal["convert", "keep_source", "fail", 0, 1, 2] | str | XComArg | None = None,
        fit: Literal["stretch", "crop", "fill", "fit"] | str | XComArg | None = None,
        adapt_orientation: bool | Literal[0, 1] | str | XComArg | None = None,
        keyframe_interval: int | str | XComArg | None = None,
        video_bitrate: int | str | XComArg | None = None,
        video_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2]
        | str
        | XComArg
        | None = None,
        crf: float | str | XComArg | None = None,
        max_bitrate: int | str | XComArg | None = None,
        buffer_size: int | str | XComArg | None = None,
        no_audio: bool | Literal[0, 1] | str | XComArg | None = None,
        sample_rate: int | str | XComArg | None = None,
        channels: int | str | XComArg | None = None,
        audio_quality: int | str | XComArg | None = None,
        audio_bitrate: int | str | XComArg | None = None,
        audio_bitrate_if_lower: Literal["convert", "keep_source", "fail", 0, 1, 2]
        | str
        | XComArg
        | None = None,
        bit_depth: int | str | XComArg | None = None,
        no_subtitles: bool | Literal[0, 1] | str | XComArg | None = None,
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
        self.video_codec = video_codec
        self.audio_codec = audio_codec
        self.frame_rate = frame_rate
        self.frame_rate_if_lower = frame_rate_if_lower
        self.pixel_format = pixel_format
        self.width = width
        self.height = height
        self.size_if_smaller = size_if_smaller
        self.fit = fit
        self.adapt_orientation = adapt_orientation
        self.keyframe_interval = keyframe_interval
        self.video_bitrate = video_bitrate
        self.video_bitrate_if_lower = video_bitrate_if_lower
        self.crf = crf
        self.max_bitrate = max_bitrate
        self.buffer_size = buffer_size
        self.no_audio = no_audio
        self.sample_rate = sample_rate
        self.channels = channels
        self.audio_quality = audio_quality
        self.audio_bitrate = audio_bitrate
        self.audio_bitrate_if_lower = audio_bitrate_if_lower
        self.bit_depth = bit_depth
        self.no_subtitles = no_subtitles
        self.align = align
        self.before = before
        self.after = after
