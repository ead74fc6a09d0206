"""Which objects a watcher wants: by bucket, prefix, suffix, pattern, and what it excludes."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process import ObjectURI
from airflow_provider_oss_async.process.text import is_missing, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Never wanted: ledgers and manifests of batches, and the data of OSS-HDFS
#: (https://www.alibabacloud.com/help/en/oss/user-guide/overview-1).
ALWAYS_EXCLUDED = (".oss-async/", ".dlsdata/")
_MAX_TEXT = 1023


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The objects that a watcher wants. Folder markers (keys that end with a slash) are never wanted.

    :param prefix: ``oss://bucket/prefix``, or the beginning of keys in any bucket whose events come to the
        queue; ``None`` for all.
    :param suffix: end of the key, such as ``.mov``; ``None`` for all.
    :param pattern: shell pattern that the last part of the key matches, such as ``*.mov``; ``None`` for all.
    :param exclude: prefixes in the form of ``prefix`` whose objects are not wanted, besides
        :data:`ALWAYS_EXCLUDED`.
    """

    prefix: str | None = None
    suffix: str | None = None
    pattern: str | None = None
    exclude: tuple[str, ...] = ()

    @classmethod
    def checked(cls, *, prefix: Any, suffix: Any, pattern: Any, exclude: Any) -> EventFilter:
        """Return a filter of what a user wrote.

        :raises ProcessError: ``problems`` names every argument that is wrong, and what is allowed.
        """
        problems: list[str] = []
        for name, value in (("prefix", prefix), ("suffix", suffix), ("pattern", pattern)):
            if value is not None and (not isinstance(value, str) or is_missing(value)):
                problems.append(
                    f"{name}={shown(value)} is not allowed: expected text, or None for all objects"
                )
            elif value is not None and len(value) > _MAX_TEXT:
                problems.append(f"{name}={shown(value)} is not allowed: it is longer than a key")
        if isinstance(prefix, str):
            problems += _prefix_problems("prefix", prefix)
        if isinstance(pattern, str) and "/" in pattern:
            problems.append(
                f"pattern={shown(pattern)} is not allowed: it is compared with the last part of the "
                "key, which has no slash; use prefix for folders"
            )
        prefixes = [exclude] if isinstance(exclude, str) else exclude
        if not isinstance(prefixes, list | tuple) or not all(
            isinstance(one, str) and not is_missing(one) for one in prefixes
        ):
            problems.append(f"exclude={shown(exclude)} is not allowed: expected a list of prefixes")
            prefixes = ()
        for one in prefixes:
            problems += _prefix_problems("exclude", one)
        if problems:
            raise ProcessError("; ".join(problems), problems=problems)
        return cls(prefix, suffix, pattern, tuple(prefixes))

    @classmethod
    def from_dict(cls, watch: Mapping[str, Any]) -> EventFilter:
        """Build again what :meth:`to_dict` wrote: the ``watch`` of a payload."""
        return cls.checked(
            prefix=watch.get("prefix"),
            suffix=watch.get("suffix"),
            pattern=watch.get("pattern"),
            exclude=watch.get("exclude") or (),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the filter as JSON natives."""
        return {
            "prefix": self.prefix,
            "suffix": self.suffix,
            "pattern": self.pattern,
            "exclude": list(self.exclude),
        }

    def matches(self, bucket: str, key: str) -> bool:
        """Whether an object is wanted."""
        return (
            not key.endswith("/")
            and (self.prefix is None or _begins(bucket, key, self.prefix))
            and key.endswith(self.suffix or "")
            # Since Python 3.9 its expressions are atomic: the time is proportional to key times pattern.
            and (self.pattern is None or fnmatchcase(key.rpartition("/")[2], self.pattern))
            and not any(_begins(bucket, key, prefix) for prefix in (*ALWAYS_EXCLUDED, *self.exclude))
        )

    def may_match(self, bucket: str, head: str, tail: str) -> bool:
        """Whether an object may be wanted of whose key only the ends are known.

        :param bucket: its bucket.
        :param head: how its key begins; what follows may be anything.
        :param tail: how its key ends.
        """
        if tail.endswith("/") or any(_begins(bucket, head, one) for one in (*ALWAYS_EXCLUDED, *self.exclude)):
            return False
        if self.prefix is not None:
            own, prefix = split_prefix(self.prefix)
            if (own and own != bucket) or not (head.startswith(prefix) or prefix.startswith(head)):
                return False
        suffix = self.suffix or ""
        if not (tail.endswith(suffix) or suffix.endswith(tail)):
            return False
        # Of the pattern only the text behind its last wildcard is compared.
        ending = self.pattern.rpartition("*")[2] if self.pattern is not None else ""
        if any(char in ending for char in "[]?"):
            return True
        return tail.endswith(ending) or ending.endswith(tail)


def split_prefix(prefix: str) -> tuple[str, str]:
    """Return bucket and beginning of the keys; the bucket is empty where any will do."""
    if not prefix.startswith("oss://"):
        return "", prefix
    bucket, _, key = prefix.removeprefix("oss://").partition("/")
    return bucket, key


def _begins(bucket: str, key: str, prefix: str) -> bool:
    own, beginning = split_prefix(prefix)
    return (not own or own == bucket) and key.startswith(beginning)


def _prefix_problems(name: str, prefix: str) -> list[str]:
    bucket, key = split_prefix(prefix)
    if prefix.startswith("oss://"):
        try:
            # The slash at the end of a prefix is all right, but not in the name of an object.
            ObjectURI.parse(f"oss://{bucket}/{key.rstrip('/') or 'x'}", name=name)
        except ProcessError as error:
            return [str(error)]
    elif "://" in prefix or prefix.startswith("/"):
        return [f"{name}={shown(prefix)} is not allowed: expected oss://bucket/prefix/, or a prefix"]
    return []
