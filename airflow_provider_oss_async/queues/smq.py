"""SMQ for ``MessageQueueTrigger(scheme="smq", ...)`` of apache-airflow-providers-common-messaging.

Airflow imports this module when it collects queue providers, and the trigger only where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow.providers.common.messaging.providers.base_provider import BaseMessageQueueProvider

if TYPE_CHECKING:
    from airflow.triggers.base import BaseEventTrigger


class SMQMessageQueueProvider(BaseMessageQueueProvider):
    """Alibaba Cloud SMQ (Simple Message Queue, formerly MNS).

    ``MessageQueueTrigger(scheme="smq", oss_conn_id=..., smq_queue=..., prefix=..., ...)`` takes the arguments
    of :class:`~airflow_provider_oss_async.triggers.oss_event.OSSEventTrigger`, and ``smq_queue`` in the place
    of ``queue``, which ``MessageQueueTrigger`` takes for itself. Its deprecated form is understood too:
    ``MessageQueueTrigger(queue="smq://name")``.
    """

    scheme = "smq"

    def queue_matches(self, queue: str) -> bool:
        """Whether an address of the deprecated form names an SMQ queue."""
        return queue.startswith("smq://")

    def trigger_class(self) -> type[BaseEventTrigger]:
        """Return the trigger; what is stored of it is an ``OSSEventTrigger``."""
        from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger

        class SMQTrigger(OSSEventTrigger):
            def __init__(self, *, smq_queue: str | None = None, **kwargs: Any) -> None:
                super().__init__(queue=smq_queue, **kwargs)

        return SMQTrigger

    def trigger_kwargs(self, queue: str, **kwargs: Any) -> dict[str, Any]:
        """Return the arguments that an address of the deprecated form stands for."""
        return {"smq_queue": unquote(urlsplit(queue).netloc)}
