"""Signatures of the access key ``local`` for requests that no SDK would send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = b"local-secret"


def _sha1(text: str) -> str:
    return base64.b64encode(hmac.digest(SECRET, text.encode("utf-8", "surrogateescape"), "sha1")).decode()


def sign_oss(
    method: str, resource: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> dict[str, str]:
    """Return the headers of a V1 signature; every query name is taken for one that it covers."""
    lower = {name.lower(): value for name, value in headers.items()}
    date = lower.get("x-oss-date") or lower.get("date") or formatdate(usegmt=True)
    own = "".join(f"{n}:{v.strip()}\n" for n, v in sorted(lower.items()) if n.startswith("x-oss-"))
    names = "&".join(f"{n}={v}" if v else n for n, v in sorted(query.items()))
    to_sign = "\n".join(
        [
            method,
            lower.get("content-md5", "").strip(),
            lower.get("content-type", "").strip(),
            date.strip(),
            own + resource + (f"?{names}" if names else ""),
        ]
    )
    return {**({} if "date" in lower else {"Date": date}), "Authorization": f"OSS local:{_sha1(to_sign)}"}


def sign_imm(action: str, target: str, host: str, body: bytes) -> dict[str, str]:
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-version": "2020-09-30",
        "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    }
    pairs = sorted(
        (unquote_plus(n), unquote_plus(v))
        for n, _, v in (pair.partition("=") for pair in target.partition("?")[2].split("&") if pair)
    )
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [
            "POST",
            "/",
            "&".join(f"{quote(n, '~')}={quote(v, '~')}" for n, v in pairs),
            "".join(f"{name}:{headers[name]}\n" for name in sorted(headers)),
            names,
            headers["x-acs-content-sha256"],
        ]
    )
    to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(SECRET, to_sign.encode(), "sha256").hex()
    headers["Authorization"] = (
        f"ACS3-HMAC-SHA256 Credential=local,SignedHeaders={names},Signature={signature}"
    )
    del headers["host"]
    return headers


def sign_smq(method: str, target: str, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    every = {"x-mns-version": "2015-06-06", "date": formatdate(usegmt=True), **(headers or {})}
    to_sign = "\n".join(
        [
            method,
            every.get("content-md5", "").strip(),
            every.get("content-type", "").strip(),
            every["date"],
            f"x-mns-version:{every['x-mns-version']}",
            target,
        ]
    )
    return {**every, "Authorization": f"MNS local:{_sha1(to_sign)}"}
