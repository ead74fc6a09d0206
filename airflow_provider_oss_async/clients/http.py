"""HTTP for IMM and SMQ: one request, an answer of bounded size, and the errors that can come of it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_oss_async.clients.errors import Failure, service_error
from airflow_provider_oss_async.exceptions import OSSConnectionError, OSSServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import aiohttp

    from airflow_provider_oss_async.clients.credentials import Credentials

#: Bytes of one answer that are read at most. The largest known answer, a page of 1,000 keys, has about 2 MB.
MAX_ANSWER_BYTES = 16 * 1024 * 1024


class RequestTooLateError(Exception):
    """A request was not sent, because what allowed it holds no more."""


_allowed: ContextVar[Callable[[], bool] | None] = ContextVar("allowed", default=None)


@contextmanager
def sent_only_if(allowed: Callable[[], bool] | None) -> Iterator[None]:
    """Have requests ask, right before their first byte, whether they may still be sent.

    Names are looked up and connections made before that, and the process may be stopped meanwhile.

    :param allowed: answers; ``None`` for always. Where it says no, :class:`RequestTooLateError` is raised.
    """
    token = _allowed.set(allowed)
    try:
        yield
    finally:
        _allowed.reset(token)


async def _ask(*_: object) -> None:
    allowed = _allowed.get()
    if allowed is not None and not allowed():
        raise RequestTooLateError("it was not sent in time")


def open_session(*, max_answer_bytes: int = MAX_ANSWER_BYTES, **options: Any) -> aiohttp.ClientSession:
    """Return an HTTP session whose answers have a bounded size, for our own clients and for the SDK's.

    Nothing is decompressed: no compressed answer is asked for, and one that comes all the same could grow
    without bound.

    :param max_answer_bytes: larger answers are broken off, as a payload error.
    :param options: of :class:`aiohttp.ClientSession`.
    """
    import aiohttp

    class BoundedResponse(aiohttp.ClientResponse):
        async def read(self) -> bytes:
            if self._body is None:
                chunks: list[bytes] = []
                size = 0
                async for chunk in self.content.iter_any():
                    size += len(chunk)
                    if size > max_answer_bytes:
                        self.close()
                        raise aiohttp.ClientPayloadError(
                            f"the answer is larger than {max_answer_bytes} bytes"
                        )
                    chunks.append(chunk)
                self._body = b"".join(chunks)
            return self._body

    trace = aiohttp.TraceConfig()
    # In spite of its name it is called when the connection is there and nothing is written yet.
    trace.on_request_headers_sent.append(_ask)
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=BoundedResponse,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        trace_configs=[trace],
        **options,
    )


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
            r"(?:(https?)://)?([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,64}\])(:[0-9]{1,5})?/?",
            text.strip(),
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
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = self.unavailable(f"{type(error).__name__} at {URL(url).host}: {error}")
        # Outside the handlers, so that the original text is not chained to this one.
        raise failure

    def unavailable(self, reason: str, answer: Answer | None = None) -> OSSServiceError:
        """Return the error for an answer that did not come, or is not the service's."""
        return self._error(Failure(self.service, status=answer.status if answer else None, detail=reason))

    def error(
        self,
        answer: Answer,
        *,
        code: str,
        detail: str,
        request_id: str,
        denied: Mapping[str, str] | None = None,
    ) -> OSSServiceError:
        """Return the error that an answer other than 2xx stands for.

        :param code: the service's error code; empty if the body was not the service's.
        :param detail: the service's message.
        :param denied: the service's detail of a missing right.
        """
        return self._error(
            Failure(
                self.service,
                status=answer.status,
                code=code,
                detail=detail,
                request_id=request_id,
                retry_after=answer.retry_after,
                authentic=bool(code) and not 200 <= answer.status < 400,
                denied=denied or {},
            )
        )

    def _error(self, failure: Failure) -> OSSServiceError:
        return service_error(failure, action=self.action, subject=self.subject, credentials=self.credentials)
