from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def dag_folder(airflow_db: None) -> Iterator[Path]:
    """The folder from which ``dag.test()`` takes a DAG."""
    folder = Path(os.environ["AIRFLOW_HOME"], "dags")
    folder.mkdir(exist_ok=True)
    yield folder
    shutil.rmtree(folder)
