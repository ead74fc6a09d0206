"""What a request is signed with, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import quote

#: Characters by which the beginning of a longer secret is told.
_PREFIX = 12


@dataclass(frozen=True, slots=True)
class Credentials:
    """One set of access keys at one moment. The ``repr`` shows neither the secret nor the token.

    :param access_key_id: the public half.
    :param access_key_secret: the secret half.
    :param security_token: STS token of temporary keys; ``None`` for the keys of a user.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    def redact(self, text: str) -> str:
        """Return ``text`` without the secret and the token.

        Services repeat the signed headers, and so the token, when they refuse a signature; and a text that
        quotes them may have been cut within a secret.
        """
        for secret in (self.access_key_secret, self.security_token):
            if not secret:
                continue
            for form in (secret, quote(secret, safe="")):
                text = text.replace(form, "***")
            if len(secret) > _PREFIX:
                text = re.sub(re.escape(secret[:_PREFIX]) + r"[^\s<>\"'&,]*", "***", text)
        return text


#: Awaited before every request. Must be cheap when cached, and must not block the event loop.
CredentialsSource = Callable[[], Awaitable[Credentials]]
