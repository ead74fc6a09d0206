"""The error that a handler raises when a request is to be answered with an error of the service."""

from __future__ import annotations


class Refusal(Exception):
    """A request that is answered with an error of the service.

    :param status: HTTP status.
    :param code: error code of the service, such as ``NoSuchKey``.
    :param message: message of the service.
    :param ec: OSS error detail code; empty where the documentation names none.
    :param headers: further headers of the answer.
    :param denied: the RAM action that is missing; empty for other errors.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        ec: str = "",
        headers: dict[str, str] | None = None,
        denied: str = "",
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.ec = ec
        self.headers = headers or {}
        self.denied = denied
