"""One task for each case of ``test_crashes.py``.

Airflow looks for DAGs in files that hold the words airflow and dag.
"""

from __future__ import annotations

from tests.system.crash_cases import CASES, DAG_ID
from tests.system.crash_dag import crash_dag

dag = crash_dag(DAG_ID, CASES)
