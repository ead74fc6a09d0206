from __future__ import annotations

from tests.clients.conftest import wire

__all__ = ["wire"]
