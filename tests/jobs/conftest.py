from __future__ import annotations

from tests.clients.conftest import session, wire

__all__ = ["session", "wire"]
