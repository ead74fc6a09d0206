"""``oss://bucket/key``: the name of one object, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_oss_async.exceptions import ProcessError

# https://www.alibabacloud.com/help/en/oss/user-guide/bucket-naming-conventions
_BUCKET = r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
# What an unrendered Jinja expression looks like. In a target, {{ without blanks is OSS's own escape for {.
_JINJA = r"(?s)\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}"
_JINJA_IN_TARGET = r"(?s)\{\{\s.*?\s\}\}|\{%.*?%\}|\{#.*?#\}"
MAX_KEY_BYTES = 1023


@dataclass(frozen=True, slots=True)
class ObjectURI:
    """An object, or with ``{variables}`` in its key the objects that a job writes.

    :param bucket: bucket name; in a target it may itself be a template such as ``{bucket}``.
    :param key: object key, at most 1,023 bytes of UTF-8, starting with neither slash nor backslash
        (https://www.alibabacloud.com/help/en/oss/user-guide/object-naming-conventions).
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"oss://{self.bucket}/{self.key}"

    @classmethod
    def parse(
        cls, text: str, *, name: str = "source", default_bucket: str = "", variables: bool = False
    ) -> ObjectURI:
        """Read ``oss://bucket/key``, or a bare key in ``default_bucket``.

        :param text: what the user wrote.
        :param name: the argument's name, for the message.
        :param default_bucket: bucket of a bare key; empty if there is none.
        :param variables: whether the service fills in ``{variables}``, as it does in a target.
        :raises ProcessError: the text is not an object name OSS would take; says why.
        """
        shown = f"{name}={text!r}"
        if not isinstance(text, str) or not text.strip():
            raise ProcessError(f"{shown} is not allowed: expected oss://bucket/key or a key")
        if re.search(_JINJA_IN_TARGET if variables else _JINJA, text):
            raise ProcessError(f"{shown}: contains a template that was not rendered")
        if text.startswith("oss://"):
            bucket, _, key = text[len("oss://") :].partition("/")
        elif "://" in text:
            raise ProcessError(f"{shown}: only oss:// addresses can be processed")
        else:
            bucket, key = default_bucket, text
            if not bucket:
                raise ProcessError(
                    f"{shown}: names no bucket; write oss://bucket/key, "
                    "or set a default bucket on the connection"
                )
        problem = _bucket_problem(bucket, variables) or _key_problem(key)
        if problem:
            raise ProcessError(f"{shown}: {problem}")
        return cls(bucket, key)


def _bucket_problem(bucket: str, variables: bool) -> str:
    if re.fullmatch(_BUCKET, re.sub(r"\{[a-z_]+\}", "xxx", bucket) if variables else bucket):
        return ""
    return f"{bucket!r} is not a bucket name (3 to 63 characters of a-z, 0-9 and -, no - at the ends)"


def _key_problem(key: str) -> str:
    if not key:
        return "the object key is empty"
    if key[0] in "/\\":
        return "an object key must not start with / or \\"
    # A line feed is what a template leaves behind; the others cannot be written in XML, so not be listed.
    if re.search(r"[\x00-\x1f\x7f]", key):
        return "the object key contains a control character"
    # Both HTTP stacks below the SDK normalise such segments away, so another object would be asked for.
    if any(part in (".", "..") for part in key.split("/")):
        return "an object key with a . or .. path segment cannot be sent"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "the object key is not valid Unicode"
    return f"the object key has {size} bytes, more than {MAX_KEY_BYTES}" if size > MAX_KEY_BYTES else ""
