from __future__ import annotations

import copy

from airflow_provider_oss_async.operators.kill_flag import KillFlag


def test_a_copy_begins_anew() -> None:
    flag = KillFlag()
    flag.set()
    copied = copy.deepcopy(flag)
    assert (flag.is_set(), copied.is_set()) == (True, False)
    copied.set()
    assert copied.is_set()
