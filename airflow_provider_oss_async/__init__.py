"""Apache Airflow provider for asynchronous processing in Alibaba Cloud OSS (``x-oss-async-process``)."""

from __future__ import annotations

__version__ = "0.1.0"
