from __future__ import annotations

import pytest

from airflow_provider_oss_async.clients.credentials import Credentials

USER = Credentials("LTAI", "the-secret-of-the-user")
ROLE = Credentials("STS.role", "the-secret-of-the-role", "CAIStoken+/=" * 5)


def test_the_repr_shows_no_secret() -> None:
    assert repr(ROLE) == "Credentials(access_key_id='STS.role')"


@pytest.mark.parametrize(
    ("credentials", "text", "shown"),
    [
        (USER, "a the-secret-of-the-user b", "a *** b"),
        (USER, "LTAI stays", "LTAI stays"),
        (ROLE, f"{ROLE.security_token} and {ROLE.access_key_secret}", "*** and ***"),
        (ROLE, "x=CAIStoken%2B%2F%3D" + "CAIStoken%2B%2F%3D" * 4 + "&y", "x=***&y"),
        # Cut in half.
        (ROLE, f"body: {str(ROLE.security_token)[:30]}", "body: ***"),
        (ROLE, f"<a>{str(ROLE.security_token)[:30]}</a>", "<a>***</a>"),
        (Credentials("a", ""), "nothing to leave out", "nothing to leave out"),
    ],
)
def test_secrets_are_left_out(credentials: Credentials, text: str, shown: str) -> None:
    assert credentials.redact(text) == shown
