"""Events: objects that arrived in OSS, and jobs that have ended. What a DAG that they start needs of them."""

from airflow_provider_oss_async.events.payload import ended_jobs, new_objects

__all__ = ["ended_jobs", "new_objects"]
