"""One signed request to IMM or SMQ, and what can come of it: an answer or one of our exceptions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from airflow_provider_oss_async.clients.credentials import Credentials

#: Characters of a foreign text (a message of the service, a network error) that go into an exception.
_QUOTE_LIMIT = 800

#: Advice for refusals that have to do with the signature and not with rights, by the beginning of the code.
_SIGNATURE_ADVICE = (
    (("InvalidAccessKeyId",), "The access key id does not exist or is disabled."),
    (("SignatureDoesNotMatch", "IncompleteSignature"), "Check the access key secret."),
    (("InvalidSecurityToken", "SecurityTokenExpired"), "The security token is wrong or has expired."),
    (
        ("InvalidTimeStamp", "IllegalTimestamp", "TimeExpired", "InvalidDateHeader"),
        "Check this machine's clock.",
    ),
)


def refuses_credentials(error: OSSServiceError) -> bool:
    """Whether the keys or their rights were refused; wrong signatures come with 400 and 404 too."""
    codes = tuple(code for codes, _ in _SIGNATURE_ADVICE for code in codes)
    return error.status in (401, 403) or error.code.startswith(codes)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service is reached.

    :param scheme: ``http`` or ``https``.
    :param host: host name, with ``:port`` where given; goes into the signature.
    """

    scheme: str
    host: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}"

    @classmethod
    def parse(cls, text: str, *, service: str, scheme: Literal["http", "https"] = "https") -> Endpoint:
        """Read ``host``, ``host:port`` or a URL without path.

        :param scheme: used when ``text`` names none.
        :raises OSSConnectionError: it is none of these.
        """
        found = re.fullmatch(
            r"(?:(https?)://)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?/?", text.strip()
        )
        if found is None:
            raise OSSConnectionError(
                f"The {service} endpoint must be a host name or http(s)://host[:port], not {text!r}."
            )
        return cls(found[1] or scheme, found[2] + (found[3] or ""))


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that arrived whole.

    :param headers: names in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, from ``x-acs-retry-after``.

        The header counts milliseconds: so Alibaba Cloud's own SDKs take it (darabonba-openapi, whose tests
        serve ``RetryAfterMs`` and measure the wait). Zero and less mean nothing, as there.
        """
        text = self.headers.get("x-acs-retry-after", "").strip()
        return int(text) / 1000 if re.fullmatch(r"[0-9]{1,9}", text) and int(text) else None


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of whom: the context that every error message needs.

    :param service: ``"IMM"`` or ``"SMQ"``.
    :param action: API name, such as ``"GetTask"``.
    :param subject: the thing it is about, such as ``"task X of project Y"``.
    :param credentials: those of this request; kept out of every message.
    """

    service: str
    action: str
    subject: str
    credentials: Credentials

    async def send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: float,
        proxy: str | None,
    ) -> Answer:
        """Send one request and read the whole answer; no retry, no redirect.

        :param url: encoded already; sent as it is, because it has been signed so.
        :param timeout: seconds for everything from connecting to the last byte.
        :raises OSSUnavailableError: no whole answer came.
        """
        import aiohttp
        from yarl import URL

        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                timeout=aiohttp.ClientTimeout(total=timeout),
                proxy=proxy,
                allow_redirects=False,
                # aiohttp would call an empty body application/octet-stream.
                skip_auto_headers=("Content-Type",),
            ) as response:
                content = await response.read()
                return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, content)
        except TimeoutError:
            failure = self.unavailable(f"no answer from {URL(url).host} within {timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            # An error of the proxy quotes the proxy's address, with user name and password.
            text = re.sub(r"//[^/\s]*@", "//***@", str(error))
            failure = self.unavailable(f"{type(error).__name__} at {URL(url).host}: {text}")
        # Outside the handlers, so that the original text is not chained to this one.
        raise failure

    def unavailable(self, reason: str, answer: Answer | None = None) -> OSSUnavailableError:
        """Return the error for an answer that did not come, or is not the service's."""
        reason = self._quote(reason)
        return OSSUnavailableError(
            f"{self.service} {self.action} for {self.subject} got no usable answer: {reason.rstrip('.')}.",
            service=self.service,
            action=self.action,
            status=answer.status if answer else None,
            detail=reason,
        )

    def error(
        self, answer: Answer, *, code: str, detail: str, request_id: str, advice: str = ""
    ) -> OSSServiceError:
        """Return the error that an answer other than 2xx stands for.

        :param code: the service's error code; empty if the body was not the service's.
        :param detail: the service's message.
        :param advice: what to do about it; a refused signature has its own.
        """
        throttled = answer.status == 429 or code.startswith("Throttling") or answer.retry_after is not None
        if not code and not throttled:
            return self.unavailable(f"HTTP {answer.status} with a body that is not {self.service}'s", answer)
        for prefixes, text in _SIGNATURE_ADVICE:
            if code.startswith(prefixes):
                advice = text
        kind = OSSServiceError
        if throttled:
            kind, advice = OSSThrottledError, "Too many requests: ask less often."
        elif not 400 <= answer.status < 500:
            kind, advice = OSSUnavailableError, ""
        detail = self._quote(detail)
        message = (
            f"{self.service} {self.action} for {self.subject} was answered with HTTP {answer.status} "
            f"{code or 'without a code'}: {detail.rstrip('.') or 'no message'} "
            f"(request id {request_id or 'unknown'})."
        )
        return kind(
            f"{message} {advice}".rstrip(),
            service=self.service,
            action=self.action,
            status=answer.status,
            code=code,
            detail=detail,
            request_id=request_id,
            retry_after=answer.retry_after,
        )

    def _quote(self, text: str) -> str:
        return self.credentials.redact(text)[:_QUOTE_LIMIT].strip()
