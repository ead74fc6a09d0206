"""Asynchronous client for the one action of STS that tells who a caller is. API version 2015-04-01."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_oss_async.clients.acs3 import ACS3Client, text_of
from airflow_provider_oss_async.clients.errors import ID_LIMIT


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a caller is.

    :param kind: ``Account``, ``RAMUser`` or ``AssumedRoleUser``.
    :param account_id: id of the Alibaba Cloud account.
    :param arn: resource name of the caller.
    """

    kind: str
    account_id: str
    arn: str


class STSClient(ACS3Client):
    """Asks STS; the constructor is that of :class:`.ACS3Client`."""

    service = "STS"
    version = "2015-04-01"

    async def get_caller_identity(self) -> Identity:
        """Return who the credentials belong to. It needs no right.

        https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-getcalleridentity

        :raises OSSServiceError: no answer, or a refusal: the credentials are no good.
        """
        call, data = await self._call("GetCallerIdentity", "the caller", {})
        kind, account, arn = (text_of(data, name)[:ID_LIMIT] for name in ("IdentityType", "AccountId", "Arn"))
        if not account:
            raise call.unavailable("the answer names no account")
        return Identity(kind, account, arn)
