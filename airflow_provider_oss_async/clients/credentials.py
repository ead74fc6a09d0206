"""What a request is signed with, and where it comes from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


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

        Services repeat the signed headers, and so the token, when they refuse a signature.
        """
        for secret in (self.access_key_secret, self.security_token):
            if secret:
                text = text.replace(secret, "***")
        return text


#: Awaited before every request. Must be cheap when cached, and must not block the event loop.
CredentialsSource = Callable[[], Awaitable[Credentials]]
