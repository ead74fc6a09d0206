"""The rights that the package needs: the one table that README, ``check`` and its policies are made from.

Pure data. Sources: "Permissions" (https://www.alibabacloud.com/help/en/oss/user-guide/asynchronous-processing),
IMM's and SMQ's lists of RAM actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Resource of a policy by its name; names in braces are filled in.
RESOURCES = {
    "objects": "acs:oss:*:*:{bucket}/*",
    "bucket": "acs:oss:*:*:{bucket}",
    "project": "acs:imm:{region}:{account}:project/{project}",
    "all projects": "*",
    "service role": "acs:ram:*:*:role/aliyunimmdefaultrole",
    "queue": "acs:mns:{region}:{account}:/queues/{queue}/messages",
}
#: What rights are needed for.
FEATURES = {
    "submit": "submitting any job",
    "video": "`video/*` and `audio/*`",
    "document": "`doc/convert`",
    "watermark": "`image/deblindwatermark`",
    "imm": '`completion="imm"`',
    "smq": '`completion="smq"`',
    "object": '`completion="object"`',
    "media": '`verify_output="media"`, `media_info`, `probe`, `max_cost`, `estimate`',
    "batch": "batches",
    "events": "events of objects and jobs",
    "verify": "`airflow oss-async verify`",
}


class Right(NamedTuple):
    """One RAM action.

    :param action: such as ``oss:GetObject``.
    :param resource: a key of :data:`RESOURCES`.
    :param features: keys of :data:`FEATURES`.
    :param note: what it is for.
    :param optional: whether everything works without it, only less well.
    """

    action: str
    resource: str
    features: tuple[str, ...]
    note: str
    optional: bool = False


RIGHTS: tuple[Right, ...] = (
    Right("oss:GetObject", "objects", ("submit",), "OSS checks it at the submission; outputs are looked for"),
    Right("oss:PutObject", "objects", ("video", "document", "batch"),
          "OSS checks it for the target; a batch writes its ledger and manifest"),
    Right("oss:PostProcessTask", "objects", ("submit",), "the submission itself"),
    Right("oss:ProcessImm", "objects", ("submit",), "OSS hands the job to IMM"),
    Right("oss:ListObjects", "bucket", ("submit", "batch", "events"),
          "outputs whose names hold variables; sources of a batch; the connection test"),
    Right("imm:CreateMediaConvertTask", "project", ("video",), "the job in IMM"),
    Right("imm:CreateOfficeConversionTask", "project", ("document",), "the job in IMM"),
    Right("ram:PassRole", "service role", ("document",), "the job runs with the service role of the project"),
    Right("imm:CreateDecodeBlindWatermarkTask", "project", ("watermark",), "the job in IMM"),
    Right("imm:GetDecodeBlindWatermarkResult", "all projects", ("watermark",),
          "the text that was read; can only be granted on `*`"),
    Right("imm:GetTask", "project", ("imm", "smq"), "polls of one job"),
    Right("imm:ListTasks", "project", ("imm", "smq"),
          "polls of many jobs, search after a lost answer; without it jobs are polled one by one, and "
          "an uncertain submission stays undecided"),
    Right("imm:GetOSSBucketAttachment", "all projects", ("imm", "smq"),
          "finds the project of a bucket, or checks the one that is set; not needed where `imm_project` is "
          "set; can only be granted on `*`. Where it is denied, `check` reads the buckets of the project "
          "instead (`imm:ListAttachedOSSBuckets`)"),
    Right("imm:DetectMediaMeta", "project", ("media",), "what OSS says of video and audio", optional=True),
    Right("imm:GetProject", "project", ("batch",), "a batch submits no more than the project runs at once",
          optional=True),
    Right("mns:ReceiveMessage", "queue", ("smq", "events"), "messages"),
    Right("mns:BatchReceiveMessage", "queue", ("smq", "events"), "messages"),
    Right("mns:DeleteMessage", "queue", ("smq", "events"), "messages that were used"),
    Right("mns:BatchDeleteMessage", "queue", ("smq", "events"), "messages that were used"),
    Right("mns:ChangeMessageVisibility", "queue", ("smq", "events"),
          "makes messages of others visible again at once", optional=True),
    Right("oss:DeleteObject", "objects", ("verify",), "removes what it has written"),
)  # fmt: skip


def rights_for(features: Iterable[str]) -> list[Right]:
    """Return the rights that some features need, in the order of the table."""
    wanted = set(features)
    return [right for right in RIGHTS if wanted & set(right.features)]


def policy(rights: Iterable[Right], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a RAM policy that grants rights.

    :param names: values of ``bucket``, ``region``, ``account``, ``project`` and ``queue``.
    """
    by_resource: dict[str, list[str]] = {}
    for right in rights:
        by_resource.setdefault(RESOURCES[right.resource].format_map(names), []).append(right.action)
    return {
        "Version": "1",
        "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": resource}
            for resource, actions in by_resource.items()
        ],
    }
