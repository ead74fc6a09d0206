"""What the package assumes of the services, because no documentation that could be read says it.

The one registry: README's list of what is not verified is made from it, and ``verify`` puts it to the test.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from airflow_provider_oss_async.cli.trials import SPRITE
from airflow_provider_oss_async.clients.errors import FINAL_KINDS, diagnose
from airflow_provider_oss_async.jobs.reconciliation import AFTER, BEFORE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_oss_async.cli.trials import Observations, Seen

Verdict = Literal["confirmed", "differs", "not tested"]


class Result(NamedTuple):
    """What a run says of an assumption.

    :param seen: what was seen, or why it was not tested.
    :param setting: what to set; empty unless it differs.
    """

    verdict: Verdict
    seen: str
    setting: str = ""


class Assumption(NamedTuple):
    """One assumption.

    :param id: short name, for reports.
    :param sentence: what is assumed.
    :param where: where it matters.
    :param test: how ``verify`` tests it, or why it does not.
    :param setting: what to set where the service differs.
    :param judge: decides by what was seen; ``None`` where it is not tested.
    """

    id: str
    sentence: str
    where: str
    test: str
    setting: str
    judge: Callable[[Observations], Result] | None = None


def judge_all(seen: Observations) -> list[tuple[Assumption, Result]]:
    """Return what a run says of every assumption."""
    results = []
    for one in ASSUMPTIONS:
        result = one.judge(seen) if one.judge else Result("not tested", one.test)
        if result.verdict == "differs" and not result.setting:
            result = result._replace(setting=one.setting)
        results.append((one, result))
    return results


def _accepted(seen: Observations) -> list[Seen]:
    return [one for one in seen.jobs if one.job is not None]


def _named(seen: Observations, *names: str) -> list[Seen]:
    return [one for one in seen.jobs if one.trial.name in names]


def _succeeded(seen: Observations, *names: str) -> list[Seen]:
    return [one for one in _named(seen, *names) if one.state == "succeeded"]


def _verdict(wrong: Sequence[str], seen: str, setting: str = "") -> Result:
    return Result("differs", "; ".join(wrong), setting) if wrong else Result("confirmed", seen)


_NONE = Result("not tested", "no such job has come that far")


def _task_ids(seen: Observations) -> Result:
    jobs = _accepted(seen)
    wrong = [f"{one.trial.name}: {one.lookup_error or 'no answer'}" for one in jobs if not one.known]
    return _verdict(wrong, f"{len(jobs)} of {len(jobs)} ids") if jobs else _NONE


def _late(jobs: Sequence[Seen], delays: Sequence[float | None], limit: float) -> Result:
    missing = [one.trial.name for one, delay in zip(jobs, delays, strict=True) if delay is None]
    slowest = max((delay for delay in delays if delay is not None), default=0.0)
    if missing:
        return Result("differs", f"never listed: {', '.join(missing)}")
    if slowest > limit:
        value = math.ceil(slowest * 1.5)
        return Result("differs", f"after up to {slowest:.0f} s", f"[oss_async] task_listing_delay = {value}")
    return Result("confirmed", f"within {slowest:.1f} s")


def _listed(seen: Observations) -> Result:
    jobs = _accepted(seen)
    return _late(jobs, [one.listed_after for one in jobs], seen.listing_delay) if jobs else _NONE


def _end_listed(seen: Observations) -> Result:
    jobs = [one for one in _accepted(seen) if one.state in ("succeeded", "failed")]
    if seen.cursor_error:
        return Result("differs", f"refused: {seen.cursor_error}")
    return _late(jobs, [one.end_listed_after for one in jobs], seen.listing_delay) if jobs else _NONE


def _definitions(seen: Observations) -> Result:
    jobs = [one for one in _accepted(seen) if one.job and one.job.task_type == "MediaConvert"]
    jobs = [one for one in jobs if one.listed_after is not None]
    wrong = [one.trial.name for one in jobs if one.job and one.job.source not in one.definition]
    return _verdict([f"not shown: {', '.join(wrong)}"] if wrong else [], "with source") if jobs else _NONE


def _clocks(seen: Observations) -> Result:
    jobs = [(one, one.started - one.job.submitted) for one in _accepted(seen)
            if one.job and one.job.submitted is not None and one.started is not None]  # fmt: skip
    wrong = [f"{one.trial.name}: {delay:+.1f} s" for one, delay in jobs if not -BEFORE <= delay <= AFTER]
    span = f"{min(d for _, d in jobs):+.1f} to {max(d for _, d in jobs):+.1f} s" if jobs else ""
    return _verdict(wrong, span) if jobs else _NONE


def _keys(jobs: Sequence[Seen], expected: Callable[[int], str]) -> Result:
    wrong = []
    for one in jobs:
        keys = {expected(number) for number in range(1, len(one.written) + 1)}
        if set(one.written) != keys:
            wrong.append(f"{one.trial.name}: {', '.join(sorted(one.written)[:3]) or 'nothing'}")
    return _verdict(wrong, ", ".join(jobs[0].written[:3])) if jobs else _NONE


def _frames(seen: Observations) -> Result:
    return _keys(_succeeded(seen, "frames"), lambda number: f"frames/f_0_{number}.jpg")


def _numbers(seen: Observations) -> Result:
    results = [
        _keys(_succeeded(seen, name), lambda number, form=form: form.format(number))  # type: ignore[misc]
        for name, form in (("numbered frames", "numbered/{}.jpg"), ("document", "pages/{}.png"))
    ]
    results = [result for result in results if result.verdict != "not tested"]
    wrong = [result.seen for result in results if result.verdict == "differs"]
    return _verdict(wrong, "; ".join(result.seen for result in results)) if results else _NONE


def _outputs(seen: Observations) -> Result:
    jobs = [one for one in seen.jobs if one.state == "succeeded" and one.trial.target]
    wrong = [
        f"{one.trial.name}: wrote {', '.join(one.written) or 'nothing'}; "
        f"found {', '.join(one.found) or 'nothing'}"
        for one in jobs
        if not one.written or set(one.written) != set(one.found)
    ]
    return _verdict(wrong, f"{sum(len(one.found) for one in jobs)} objects") if jobs else _NONE


def _at_once(seen: Observations) -> Result:
    jobs = [one for one in seen.jobs if one.state == "succeeded" and one.trial.target]
    wrong = [one.trial.name for one in jobs if not one.found_at_once]
    return (
        _verdict([f"not yet there: {', '.join(wrong)}"] if wrong else [], f"{len(jobs)} jobs")
        if jobs
        else _NONE
    )


def _messages(seen: Observations, jobs: list[Seen]) -> Result:
    if not seen.with_messages:
        return Result("not tested", "give --topic and --queue")
    jobs = [one for one in jobs if one.state in ("succeeded", "failed")]
    missing = [one.trial.name for one in jobs if one.message is None]
    foreign = f"; {seen.foreign_messages} messages that nobody understands" if seen.foreign_messages else ""
    wrong = [f"no message that can be read: {', '.join(missing)}{foreign}"] if missing else []
    return _verdict(wrong, f"{len(jobs)} messages") if jobs else _NONE


def _media_messages(seen: Observations) -> Result:
    return _messages(seen, [one for one in _media(seen) if one.state == "succeeded"])


def _other_messages(seen: Observations) -> Result:
    media = [one.trial.name for one in _media(seen) if one.state == "succeeded"]
    return _messages(seen, [one for one in _accepted(seen) if one.trial.name not in media])


def _media(seen: Observations) -> list[Seen]:
    return [one for one in _accepted(seen) if one.job and one.job.task_type == "MediaConvert"]


def _unknown(seen: Observations) -> Result:
    if not seen.unknown_task:
        return Result("not tested", "no answer")
    return Result("confirmed" if seen.unknown_task_understood else "differs", seen.unknown_task)


def _rate(seen: Observations) -> Result:
    sent, answered = seen.burst
    if not sent:
        return _NONE
    if answered < sent:
        value = f"[oss_async] max_requests_per_second = {max(1, answered // 2)}"
        return Result("differs", f"{answered} of {sent} in a second, the others throttled", value)
    return Result("confirmed", f"{answered} of {sent} in a second")


def _taken(*names: str) -> Callable[[Observations], Result]:
    def judge(seen: Observations) -> Result:
        jobs = [one for one in _named(seen, *names) if one.refused or one.state in ("succeeded", "failed")]
        wrong = [
            f"{one.trial.name}: {one.refused or f'{one.code} {one.detail}'.strip()}"
            for one in jobs
            if one.refused or one.state == "failed"
        ]
        return _verdict(wrong, "accepted, and succeeded") if jobs else _NONE

    return judge


def _sprite(seen: Observations) -> Result:
    columns, rows, padding, margin, width, height = SPRITE
    expected = (
        columns * width + (columns - 1) * padding + 2 * margin,
        rows * height + (rows - 1) * padding + 2 * margin,
    )
    if seen.sprite_size is None:
        return _NONE
    found = "{}x{}".format(*seen.sprite_size)
    wrong = [f"{found} instead of {'{}x{}'.format(*expected)}"] if seen.sprite_size != expected else []
    return _verdict(wrong, found)


def _watermark(seen: Observations) -> Result:
    jobs = _named(seen, "watermark")
    refused = [one.refused for one in jobs if one.refused]
    ended = [one for one in jobs if one.state in ("succeeded", "failed")]
    wrong = refused or [
        f"{one.code} {one.detail}"
        for one in ended
        if one.state == "failed" and diagnose("job", one.code, one.detail).kind != "content"
    ]
    said = [f"{one.state} {one.code}".strip() for one in ended]
    return _verdict(wrong, "; ".join(said)) if wrong or ended else _NONE


def _media_info(seen: Observations) -> Result:
    info, error = seen.media_info, seen.media_info_error
    if error is not None and error.status == 403:
        right = error.access_denied.get("AuthAction") or "imm:DetectMediaMeta"
        return Result("not tested", f"the right {right} is missing")
    if error is not None:
        return Result("differs", f"{error.code} {error.detail}".strip())
    if info is None:
        return _NONE
    missing = [
        name
        for name, value in (
            ("FormatName", info.formats),
            ("Duration", info.duration),
            ("VideoStreams", info.video),
        )
        if not value
    ]
    wrong = [f"without {', '.join(missing)}"] if missing else []
    return _verdict(wrong, f"{','.join(sorted(info.formats))}, {info.duration} s")


def _failure(seen: Observations) -> Result:
    jobs = [one for one in _named(seen, "unreadable source") if one.refused or one.state]
    for one in jobs:
        if one.refused:
            return Result("not tested", f"refused at the submission: {one.refused}")
        if one.state == "succeeded":
            return Result("differs", "the job has succeeded")
        if one.state == "failed":
            said = f"{one.code}: {one.detail}"
            known = diagnose("job", one.code, one.detail).kind in FINAL_KINDS
            return Result("confirmed" if known else "differs", said)
    return _NONE


_FAIL_STAYS = 'Leave on_uncertain_submit="fail": answers that are lost stay undecided.'
ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "task-ids",
        "`GetTask` knows the ids that OSS gives out, for every kind of job; nothing depends on their form.",
        "waiting",
        "each job is looked up",
        'Set completion="object".',
        _task_ids,
    ),
    Assumption(
        "task-listing",
        "An accepted task is listed by `ListTasks` within 15 seconds.",
        "reconciling a lost answer",
        "tasks are listed until each is there",
        "Raise [oss_async] task_listing_delay.",
        _listed,
    ),
    Assumption(
        "end-listing",
        "`ListTasks` sorted by `EndTime` shows every ended task, within 15 seconds.",
        "many jobs that wait",
        "ended tasks are listed until each is there",
        "Nothing: what it does not show is polled with GetTask, at more requests.",
        _end_listed,
    ),
    Assumption(
        "definitions",
        "`ListTasks` shows the request of media tasks, with source and target.",
        "reconciling a lost answer",
        "the listed requests are read",
        _FAIL_STAYS,
        _definitions,
    ),
    Assumption(
        "clocks",
        f"A task starts at most {BEFORE:.0f} seconds before and {AFTER:.0f} after OSS's answer, by "
        "the clocks of the services.",
        "reconciling a lost answer",
        "`StartTime` is compared with `Date`",
        _FAIL_STAYS,
        _clocks,
    ),
    Assumption(
        "frame-names",
        "Frames under a target without extension are `frames/f_0_1.jpg` and so on.",
        "targets",
        "frames are taken, and listed",
        "Put {index} into the target.",
        _frames,
    ),
    Assumption(
        "numbers",
        "`{index}` counts from 1, without zeros before it.",
        "targets",
        "frames and pages are listed",
        "Take names from outputs, and do not make them up.",
        _numbers,
    ),
    Assumption(
        "outputs",
        "What a job writes is found by its target.",
        "results",
        "what was written is compared with `outputs`",
        "List the objects with the hook's list_keys.",
        _outputs,
    ),
    Assumption(
        "outputs-at-once",
        "Outputs can be listed as soon as `GetTask` says that the job has succeeded.",
        "results",
        "they are searched at that moment",
        "Look for them in a later task, with retries.",
        _at_once,
    ),
    Assumption(
        "messages",
        "Completion messages of media jobs that have succeeded are as documented, plain or base64.",
        'completion="smq"',
        "they are received (with --topic and --queue)",
        'Set completion="imm".',
        _media_messages,
    ),
    Assumption(
        "other-messages",
        "Those of documents, watermarks and failures have the same shape.",
        'completion="smq"',
        "they are received (with --topic and --queue)",
        'Set completion="imm".',
        _other_messages,
    ),
    Assumption(
        "unknown-task",
        "A task that IMM does not know, or no more, is `ResourceNotFound` with a message about a task.",
        "waiting for lost jobs",
        "a task that there is none of is looked up",
        "Nothing: a lost job ends with the service's own words.",
        _unknown,
    ),
    Assumption(
        "rate",
        "A project answers 20 requests a second of this package, of the 100 that IMM documents for all "
        "of its APIs (`ProjectQueriesPerSecond`).",
        "waiting",
        "20 requests are sent within a second",
        "Lower [oss_async] max_requests_per_second.",
        _rate,
    ),
    Assumption(
        "merge-arguments",
        "A merge takes the arguments of a conversion.",
        "merges",
        "a merge with sizes, rates and codecs is run",
        "Leave out the argument that the service names.",
        _taken("merge", "audio merge"),
    ),
    Assumption(
        "sprite-layout",
        "`columns`, `rows`, `padding` and `margin` are as IMM's own interface has them.",
        "sprites",
        "the size of a sheet is read",
        "Check the sheets before their tiles are cut.",
        _sprite,
    ),
    Assumption(
        "watermark",
        "A watermark's `strength` and type are as sent; without one the job succeeds without "
        "text, or fails in words of the table of errors.",
        "watermarks",
        "a picture without one is read",
        "Set missing_ok=True, and check code and text.",
        _watermark,
    ),
    Assumption(
        "failures",
        "The failure of an unreadable source is known as final by its code or words.",
        "retries",
        "a file that is no video is converted",
        "Set retries=0 or a retry_policy of your own.",
        _failure,
    ),
    Assumption(
        "media-info",
        "`video/info` tells container, duration and streams of an output as soon as its job has succeeded.",
        "`verify_output`",
        "the result of a conversion is inspected",
        'Set verify_output="exists", or leave it out.',
        _media_info,
    ),
    Assumption(
        "object-events",
        "The body of an object event is one of the documented shapes, base64 or wrapped or not; keys are "
        "taken as they are. Which event an object raises that IMM has written is not documented.",
        "events",
        "it takes a notification rule of the bucket",
        "Set list_every, which finds objects without events.",
    ),
    Assumption(
        "orientation",
        "`adapt_orientation` is sent as false with every `width` or `height`, because its "
        "default is not sure.",
        "video",
        "it needs a turned video",
        "Set adapt_orientation.",
    ),
    Assumption(
        "narrowband-hd",
        "`narrowband_hd` is IMM's argument; no OSS page has it.",
        "video",
        "whether it is priced apart is not known",
        "Leave it out.",
    ),
    Assumption(
        "queue-timeout",
        "A project works on 100 jobs at once (`EngineConcurrency`), and fails what has "
        "waited for tens of minutes; the code is not documented.",
        "many jobs",
        "it takes hundreds of jobs",
        "Lower max_in_flight, pools or max_active_tasks.",
    ),
    Assumption(
        "retention",
        "IMM knows a task for 7 days.",
        "long waits",
        "it takes 7 days",
        "Set a shorter timeout.",
    ),
    Assumption(
        "polls",
        "Whether polls are billed is not documented.",
        "cost",
        "see the bill",
        "Raise poll_interval.",
    ),
    Assumption(
        "media-limits",
        "Greatest size and duration of media are not documented.",
        "media",
        "samples are tiny",
        "Split the source.",
    ),
    Assumption(
        "permissions",
        "The rights are those under permissions, `ram:PassRole` and the resources in particular.",
        "permissions",
        "it takes an account with just these; see `check`",
        "Grant what the error names.",
    ),
    Assumption(
        "sources",
        "Archived, versioned and encrypted sources, and targets in another bucket, work as "
        "documented for OSS.",
        "sources",
        "verify uses one bucket as it is",
        "Copy the object first.",
    ),
)
