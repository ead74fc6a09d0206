"""Operator for office documents and PDF."""

from __future__ import annotations

from airflow_provider_oss_async.operators.base import OSSSpecificationOperator
from airflow_provider_oss_async.process import DocumentConvert


class OSSDocumentConvertOperator(OSSSpecificationOperator):
    """Convert an office document or a PDF to page images, a PDF or plain text.

    For images give a target with ``{index}``, such as ``pages/{index}.png``.
    For the arguments see :class:`~airflow_provider_oss_async.process.DocumentConvert`.
    """

    specification = DocumentConvert
