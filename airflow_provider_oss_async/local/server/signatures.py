"""Checking signatures from the side of the server: OSS V1 and V4, ACS3 (IMM) and that of SMQ.

Written from "Include signatures in the Authorization header" (V1, V4) and "Add signatures to URLs" of the OSS
developer reference, "V3 request structure and signature" of the OpenAPI reference and "Sign requests" of the
SMQ reference. The texts of the errors follow the error pages where they are documented; the codes for an
expired STS token of SMQ and for a wrong expiry of a presigned URL are not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, unquote_plus

from airflow_provider_oss_async.local.server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: How far the date of a request may be from the server's clock, in seconds.
MAX_SKEW = 15 * 60
#: Query names that a V1 signature covers, of those that the operations here have. Names that begin with
#: ``x-oss-`` are covered too.
_SUBRESOURCES = frozenset(
    {
        "acl", "append", "bucketInfo", "continuation-token", "delete", "location", "objectMeta", "partNumber",
        "position", "security-token", "stat", "uploadId", "uploads", "versionId", "versions", "callback",
        "callback-var", "cors", "encryption", "lifecycle", "logging", "policy", "referer", "restore",
        "sequential", "symlink", "tagging", "versioning", "website", "response-cache-control",
        "response-content-disposition", "response-content-encoding", "response-content-language",
        "response-content-type", "response-expires",
    }
)  # fmt: skip
_V4 = "OSS4-HMAC-SHA256"
_ACS3 = "ACS3-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key pair that is accepted.

    :param id: AccessKey id.
    :param secret: AccessKey secret.
    :param token: STS token that must come with it; ``None`` for a long-term key.
    :param expires_at: end of its life in seconds since the epoch; ``None`` for never.
    """

    id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature is made over.

    :param method: HTTP method.
    :param raw_target: path and query as they came over the wire.
    :param headers: the request's headers, case-insensitive.
    """

    method: str
    raw_target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The decoded path."""
        return unquote(self.raw_target.partition("?")[0])

    @property
    def query(self) -> list[tuple[str, str]]:
        """The decoded query; clients differ in what they escape, so only this is comparable."""
        pairs = (pair.partition("=") for pair in self.raw_target.partition("?")[2].split("&") if pair)
        return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


class Verifier:
    """Checks requests against a set of access keys.

    :param keys: the accepted keys.
    """

    def __init__(self, keys: Iterable[AccessKey]) -> None:
        self._keys = {key.id: key for key in keys}
        self._nonces: OrderedDict[str, None] = OrderedDict()

    def add(self, key: AccessKey) -> None:
        """Accept another key; one of the same id is replaced."""
        self._keys[key.id] = key

    def oss(self, request: SignedRequest, resource: str, region: str) -> None:
        """Check an OSS signature, V1 or V4, in the Authorization header or in the query of a presigned URL.

        :param resource: ``/``, ``/bucket/`` or ``/bucket/key``, whatever form the URL has.
        :param region: region of the bucket.
        :raises Refusal: with OSS's code.
        """
        query = dict(request.query)
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if scheme == "OSS" or (not scheme and "OSSAccessKeyId" in query):
            self._oss_v1(request, resource, rest, query)
        elif scheme == _V4 or (not scheme and query.get("x-oss-signature-version") == _V4):
            self._oss_v4(request, resource, region, rest, query)
        elif scheme or "x-oss-signature-version" in query:
            raise Refusal(400, "InvalidArgument", "The stand-in accepts the signature versions 1 and 4.")
        else:
            raise Refusal(403, "AccessDenied", "Anonymous access is forbidden for this operation.")

    def _oss_v1(self, request: SignedRequest, resource: str, given: str, query: dict[str, str]) -> None:
        header = request.headers.get
        if given:
            key_id, _, signature = given.partition(":")
            date = header("x-oss-date") or header("date", "")
            # The V2 SDK sends the token of a V1 signature without the prefix.
            token = header("x-oss-security-token") or header("security-token")
            signed_at = _timestamp(date, "%Y%m%dT%H%M%SZ") or _http_date(date)
            if signed_at is None:
                raise Refusal(403, "AccessDenied", "OSS authentication requires a valid Date.")
            _check_skew(signed_at)
        else:
            key_id, signature, date = (
                query["OSSAccessKeyId"],
                query.get("Signature", ""),
                query.get("Expires", ""),
            )
            token = query.get("security-token")
            expires = _whole(date, 0, 2**63)
            if expires is None:
                raise Refusal(400, "InvalidArgument", "Expires is not a valid number of seconds.")
            if time.time() > expires:
                raise Refusal(403, "AccessDenied", "Request has expired.")
        key = self._key(key_id, token, _OSS_ERRORS)
        own = sorted((n.lower(), v) for n, v in request.headers.items() if n.lower().startswith("x-oss-"))
        parameters = sorted(
            f"{name}={value}" if value else name
            for name, value in request.query
            if name in _SUBRESOURCES or name.startswith("x-oss-")
        )
        to_sign = "\n".join(
            [request.method, header("content-md5", ""), header("content-type", ""), date]
            + [f"{name}:{value}" for name, value in own]
            + [resource + ("?" + "&".join(parameters) if parameters else "")]
        )
        expected = base64.b64encode(hmac.digest(key.secret.encode(), to_sign.encode(), "sha1")).decode()
        if not _same(expected, signature):
            raise _OSS_ERRORS["mismatch"]()

    def _oss_v4(
        self, request: SignedRequest, resource: str, region: str, given: str, query: dict[str, str]
    ) -> None:
        if given:
            fields, header = _fields(given), request.headers.get
            credential, signature = fields.get("Credential", ""), fields.get("Signature", "")
            stamp, token = header("x-oss-date") or header("date", ""), header("x-oss-security-token")
            additional = fields.get("AdditionalHeaders", "")
        else:
            credential, signature = query.get("x-oss-credential", ""), query.get("x-oss-signature", "")
            stamp, token = query.get("x-oss-date", ""), query.get("x-oss-security-token")
            additional = query.get("x-oss-additional-headers", "")
        key_id, *scope = credential.split("/")
        if len(scope) != 4 or scope[2:] != ["oss", "aliyun_v4_request"]:
            raise Refusal(400, "InvalidArgument", "Invalid credential in Authorization header.")
        key = self._key(key_id, token, _OSS_ERRORS)
        if scope[1] != region:
            raise Refusal(400, "InvalidArgument", "Invalid signing region in Authorization header.")
        signed_at = _timestamp(stamp, "%Y%m%dT%H%M%SZ")
        if given:
            _check_skew(_http_date(stamp) if signed_at is None else signed_at)
        else:
            life = _whole(query.get("x-oss-expires", ""), 1, 604_800)
            if life is None or signed_at is None:
                raise Refusal(
                    400,
                    "InvalidArgument",
                    "x-oss-date must be a date, and x-oss-expires a number of seconds from 1 to 604800.",
                )
            if time.time() > signed_at + life:
                raise Refusal(403, "AccessDenied", "Request has expired.")
        names = [name for name in additional.split(";") if name]
        headers = sorted(
            (name.lower(), value)
            for name, value in request.headers.items()
            if name.lower().startswith("x-oss-") or name.lower() in {"content-type", "content-md5", *names}
        )
        pairs = sorted((quote(n, ""), quote(v, "")) for n, v in request.query if n != "x-oss-signature")
        canonical = "\n".join(
            [
                request.method,
                quote(resource, "/"),
                "&".join(f"{n}={v}" if v else n for n, v in pairs),
                "".join(f"{n}:{v.strip()}\n" for n, v in headers),
                additional,
                request.headers.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD"),
            ]
        )
        to_sign = "\n".join([_V4, stamp, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
        signing_key = f"aliyun_v4{key.secret}".encode()
        for part in scope:
            signing_key = hmac.digest(signing_key, part.encode(), "sha256")
        if not _same(hmac.digest(signing_key, to_sign.encode(), "sha256").hex(), signature):
            raise _OSS_ERRORS["mismatch"]()

    def acs3(self, request: SignedRequest, body: bytes) -> None:
        """Check the signature of an IMM request.

        :raises Refusal: with the code of the OpenAPI gateway.
        """
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        given = _fields(rest)
        if scheme != _ACS3 or not {"Credential", "SignedHeaders", "Signature"} <= given.keys():
            raise Refusal(400, "MissingAuthorization", f"An Authorization header of {_ACS3} is mandatory.")
        key = self._key(given["Credential"], request.headers.get("x-acs-security-token"), _ACS_ERRORS)
        signed_at = _timestamp(request.headers.get("x-acs-date", ""), "%Y-%m-%dT%H:%M:%SZ")
        if signed_at is None or abs(time.time() - signed_at) > MAX_SKEW:
            raise Refusal(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        names = given["SignedHeaders"].split(";")
        payload = request.headers.get("x-acs-content-sha256", "")
        unsigned = [n for n in map(str.lower, request.headers) if n.startswith("x-acs-") and n not in names]
        if "host" not in names or unsigned or payload != hashlib.sha256(body).hexdigest():
            raise _ACS_ERRORS["mismatch"]()
        canonical = "\n".join(
            [
                request.method,
                quote(request.path, "/~"),
                "&".join(f"{quote(n, '~')}={quote(v, '~')}" for n, v in sorted(request.query)),
                "".join(f"{n}:{request.headers.get(n, '').strip()}\n" for n in names),
                given["SignedHeaders"],
                payload,
            ]
        )
        to_sign = f"{_ACS3}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        if not _same(hmac.digest(key.secret.encode(), to_sign.encode(), "sha256").hex(), given["Signature"]):
            raise _ACS_ERRORS["mismatch"]()
        self._use_nonce(request.headers.get("x-acs-signature-nonce", ""))

    def smq(self, request: SignedRequest) -> None:
        """Check the signature of an SMQ request.

        :raises Refusal: with the code of SMQ.
        """
        header = request.headers.get
        scheme, _, rest = header("authorization", "").partition(" ")
        key_id, colon, signature = rest.partition(":")
        if scheme != "MNS" or not colon:
            raise Refusal(400, "InvalidAuthorizationHeader", "The Authorization header format is invalid.")
        key = self._key(key_id, header("security-token") or None, _SMQ_ERRORS)
        signed_at = _http_date(header("date", ""))
        if signed_at is None:
            raise Refusal(400, "InvalidDateHeader", "The Date header format is invalid.")
        if abs(time.time() - signed_at) > MAX_SKEW:
            raise Refusal(408, "TimeExpired", "The http request you sent is expired.")
        own = sorted((n.lower(), v) for n, v in request.headers.items() if n.lower().startswith("x-mns-"))
        to_sign = "\n".join(
            [request.method, header("content-md5", ""), header("content-type", ""), header("date", "")]
            + [f"{n}:{v}" for n, v in own]
            + [request.raw_target]
        )
        expected = base64.b64encode(hmac.digest(key.secret.encode(), to_sign.encode(), "sha1")).decode()
        if not _same(expected, signature):
            raise _SMQ_ERRORS["mismatch"]()

    def _key(self, key_id: str, token: str | None, errors: Mapping[str, _Error]) -> AccessKey:
        key = self._keys.get(key_id)
        if key is None:
            raise errors["unknown"]()
        if not _same(key.token or "", token or ""):
            raise errors["token"]()
        if key.expires_at is not None and time.time() > key.expires_at:
            raise errors["expired"]()
        return key

    def _use_nonce(self, nonce: str) -> None:
        if not nonce or nonce in self._nonces:
            raise Refusal(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces[nonce] = None
        if len(self._nonces) > 10_000:
            self._nonces.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Error:
    status: int
    code: str
    message: str
    ec: str = ""

    def __call__(self) -> Refusal:
        return Refusal(self.status, self.code, self.message, ec=self.ec)


_OSS_ERRORS = {
    "unknown": _Error(
        403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records."
    ),
    "token": _Error(
        403, "InvalidSecurityToken", "The security token you provided is invalid.", "0002-00000006"
    ),
    "expired": _Error(
        403, "SecurityTokenExpired", "The security token you provided has expired.", "0002-00000007"
    ),
    "mismatch": _Error(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        "0002-00000040",
    ),
}
_ACS_ERRORS = {
    "unknown": _Error(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."),
    "token": _Error(400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed."),
    "expired": _Error(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired."),
    "mismatch": _Error(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation."),
}
_SMQ_ERRORS = {
    "unknown": _Error(403, "InvalidAccessKeyId", "The AccessKey Id you provided is not exist."),
    "token": _Error(403, "InvalidSecurityToken", "The security token you provided is invalid."),
    "expired": _Error(403, "InvalidSecurityToken", "The security token you provided has expired."),
    "mismatch": _Error(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
    ),
}


def _fields(text: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in text.split(","))
    return {name: value for name, _, value in pairs}


def _check_skew(signed_at: float | None) -> None:
    if signed_at is None or abs(time.time() - signed_at) > MAX_SKEW:
        raise Refusal(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        )


def _whole(text: str, low: int, high: int) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,19}", text) and low <= int(text) <= high else None


def _http_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _timestamp(text: str, form: str) -> float | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
