"""``oss://bucket/key``: the name of one object, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.text import NATIVE_HINT, is_missing, shown

# https://www.alibabacloud.com/help/en/oss/user-guide/bucket-naming-conventions
_BUCKET = r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
MAX_KEY_BYTES = 1023
#: Characters of ``oss://``, a bucket name (in a target a template) and a key, and more than that. A text is
#: measured before anything else is asked of it.
_MAX_TEXT = 2 * MAX_KEY_BYTES


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
        given = f"{name}={shown(text)}"
        if isinstance(text, int | float) and not isinstance(text, bool):
            raise ProcessError(f"{given} is not allowed: {NATIVE_HINT}; write oss://bucket/key")
        if not isinstance(text, str) or is_missing(text):
            raise ProcessError(f"{given} is not allowed: expected oss://bucket/key or a key")
        if len(text) > _MAX_TEXT:
            raise ProcessError(
                f"{given}: has {len(text)} characters, and a key has at most {MAX_KEY_BYTES} bytes"
            )
        if _has_template(text, in_target=variables):
            raise ProcessError(f"{given}: contains a template that was not rendered")
        if text.startswith("oss://"):
            bucket, _, key = text[len("oss://") :].partition("/")
        elif "://" in text:
            raise ProcessError(f"{given}: only oss:// addresses can be processed")
        else:
            bucket, key = default_bucket, text
            if not bucket:
                raise ProcessError(
                    f"{given}: names no bucket; write oss://bucket/key, "
                    "or set a default bucket on the connection"
                )
        problem = _bucket_problem(bucket, variables) or _key_problem(key)
        if problem:
            raise ProcessError(f"{given}: {problem}")
        return cls(bucket, key)


def _has_template(text: str, *, in_target: bool) -> bool:
    """Whether an unrendered Jinja expression is in a text."""
    # In a target, {{ without blanks is OSS's own escape for {.
    braces = (r"\{\{\s", r"\s\}\}") if in_target else (r"\{\{", r"\}\}")
    for opening, closing in (braces, (r"\{%", r"%\}"), (r"\{#", r"#\}")):
        first = re.search(opening, text)
        if first and re.search(closing, text[first.end() :]):
            return True
    return False


def _bucket_problem(bucket: str, variables: bool) -> str:
    if re.fullmatch(_BUCKET, re.sub(r"\{[a-z_]+\}", "xxx", bucket) if variables else bucket):
        return ""
    return f"{shown(bucket)} is not a bucket name (3 to 63 characters of a-z, 0-9 and -, no - at the ends)"


def _key_problem(key: str) -> str:
    if is_missing(key):
        return "the object key is empty" if not key else "the object key is blank or None: a value is missing"
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
