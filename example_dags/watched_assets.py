"""Assets that are watched: each is defined once, in a module that all DAG files import.

Where another file names the same asset without its watchers, as a schedule or as an outlet, Airflow stops the
watcher whenever it parses that file.
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher

from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger

#: Videos that are uploaded below ``inbox/``. A DAG that writes below that prefix too would start itself:
#: ``exclude`` what it writes.
INBOX = Asset(
    "example_inbox",
    watchers=[
        AssetWatcher(
            name="example_inbox",
            trigger=OSSEventTrigger(queue="inbox", prefix="oss://media/inbox/", suffix=".mp4"),
        )
    ],
)
#: Jobs that have ended, whoever has submitted them. Their queue subscribes to the topic of ``notify_topic``.
ENDED_JOBS = Asset(
    "example_ended_jobs",
    watchers=[
        AssetWatcher(name="example_ended_jobs", trigger=OSSEventTrigger(queue="ended-jobs", kinds=["job"]))
    ],
)
