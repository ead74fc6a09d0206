from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import pytest
from airflow.sdk import Connection

from airflow_provider_oss_async.hooks import connection_fields, settings
from airflow_provider_oss_async.hooks.connection_fields import (
    BY_NAME,
    EXTRA_FIELDS,
    FIELDS,
    ConnectionField,
    CredentialSource,
    form_behaviour,
    form_fields,
)
from airflow_provider_oss_async.hooks.settings import ConnectionSettings, read_settings
from tests import generate, readme_tables

ATTRIBUTES = {field.name: field for field in dataclasses.fields(ConnectionSettings)}
IDS = [field.name for field in FIELDS]
#: Another value than the default, for each field.
SAMPLES: dict[str, Any] = {
    "login": "AK",
    "password": "SK",
    "host": "https://oss-cn-beijing.aliyuncs.com",
    "schema": "media",
    "region": "cn-beijing",
    "imm_project": "project",
    "credential_source": "ram_role_arn",
    "security_token": "token",
    "credentials_uri": "http://localhost:1/?a=b",
    "ecs_role_name": "role",
    "role_arn": "acs:ram::1:role/r",
    "role_session_name": "session",
    "role_session_expiration": 900,
    "role_policy": '{"Version": "1", "Statement": [{"Effect": "Deny", "Action": "*"}]}',
    "external_id": "external",
    "oidc_provider_arn": "acs:ram::1:oidc-provider/p",
    "oidc_token_file": "/token",
    "network": "accelerate",
    "cname": "true",
    "path_style": "true",
    "imm_endpoint": "https://imm.cn-beijing.aliyuncs.com",
    "proxy": "http://proxy:3128",
    "connect_timeout": 1.5,
    "read_timeout": 2.5,
    "smq_endpoint": "https://1.mns.cn-beijing.aliyuncs.com",
    "smq_queue": "queue",
    "smq_topic": "topic",
}
#: What some fields need beside them.
COMPANIONS: dict[str, dict[str, Any]] = {
    "cname": {"host": "media.example.com", "schema": "media"},
    "smq_queue": {"smq_endpoint": "1.mns.cn-beijing.aliyuncs.com"},
    "credential_source": {"role_arn": "acs:ram::1:role/r"},
}


def connection(**values: Any) -> Connection:
    values = {"login": "A", "password": "S", "region": "cn-beijing", **values}
    standard = {name: value for name, value in values.items() if BY_NAME[name].standard}
    extra = {name: value for name, value in values.items() if not BY_NAME[name].standard}
    return Connection(conn_id="c", conn_type="oss_async", extra=json.dumps(extra), **standard)


def test_every_field_is_an_attribute_of_the_settings_and_the_other_way_round() -> None:
    own = {field.attribute for field in FIELDS} | {"conn_id", "warnings"}
    missing = sorted(own - set(ATTRIBUTES))
    assert not missing, f"add to ConnectionSettings in hooks/settings.py: {missing}"
    extra = sorted(set(ATTRIBUTES) - own)
    assert not extra, f"add to FIELDS in hooks/connection_fields.py: {extra}"


def test_every_setting_is_read_somewhere() -> None:
    """A field that the form offers, and that nothing heeds, would be a promise."""
    package = Path(settings.__file__).parents[1]
    read = {
        node.attr
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    unread = sorted(set(ATTRIBUTES) - read)
    assert not unread, f"nothing in the package reads these attributes of ConnectionSettings: {unread}"


def test_every_field_is_tested() -> None:
    missing = sorted(set(BY_NAME) - set(SAMPLES))
    assert not missing, f"add a value to SAMPLES in {Path(__file__).name}: {missing}"


@pytest.mark.parametrize("name", IDS)
def test_what_the_form_saves_is_what_is_read(name: str) -> None:
    field = BY_NAME[name]
    got = getattr(
        read_settings(connection(**{**COMPANIONS.get(name, {}), name: SAMPLES[name]})), field.attribute
    )
    expected = SAMPLES[name]
    assert got == (expected == "true" if field.type == "switch" else expected)
    if not field.standard:
        jsonschema.validate(SAMPLES[name], form_fields()[name]["schema"])


@pytest.mark.parametrize("field", FIELDS, ids=IDS)
def test_defaults_of_table_and_settings_agree(field: ConnectionField) -> None:
    if field.default is None:
        return
    default = ATTRIBUTES[field.attribute].default
    assert default == (field.default == "true" if field.type == "switch" else field.default)
    assert getattr(read_settings(connection()), field.attribute) == default


@pytest.mark.parametrize("field", FIELDS, ids=IDS)
def test_secrets_are_hidden_everywhere(field: ConnectionField) -> None:
    assert ATTRIBUTES[field.attribute].repr is not field.secret, "set repr=False in ConnectionSettings"
    if not field.standard:
        assert (form_fields()[field.name]["schema"].get("format") == "password") is field.secret


@pytest.mark.parametrize("field", FIELDS, ids=IDS)
def test_a_row_is_complete(field: ConnectionField) -> None:
    assert field.label
    assert field.group
    assert re.fullmatch(r"[A-Z].*[.]", field.doc), "doc: sentences"
    assert (field.type in ("number", "integer")) == bool(field.unit)
    assert (field.minimum is None) == (field.maximum is None) == (not field.unit)
    assert (field.type in ("choice", "switch")) == bool(field.choices)
    assert bool(field.form) >= bool(field.pattern), "form: what the pattern means"
    assert set(field.sources) <= set(get_args(CredentialSource))
    assert not field.placeholder or field.standard, "Airflow shows no placeholder here"
    assert not field.default_text or field.default_text in field.description
    for limit in (field.minimum, field.maximum):
        assert limit is None or f"{limit:g}" in field.description


def test_choices_are_those_of_the_types() -> None:
    hints = get_type_hints(ConnectionSettings)
    for field in FIELDS:
        if field.type == "choice":
            assert field.choices == get_args(hints[field.attribute])


def test_the_form() -> None:
    fields = form_fields()
    assert list(fields)[:2] == ["region", "imm_project"]
    assert EXTRA_FIELDS - set(fields) == {"access_key_id", "access_key_secret", "endpoint"}
    # Only what is required cannot be null: Airflow's form marks it.
    assert [name for name, entry in fields.items() if "null" not in entry["schema"]["type"]] == ["region"]
    groups = [entry["schema"]["section"] for entry in fields.values()]
    # Fields of a group stand together.
    assert len(set(groups)) == 1 + sum(a != b for a, b in pairwise(groups))
    credentials = {name for name, entry in fields.items() if "Credentials" in entry["schema"]["section"]}
    assert credentials == {"credential_source"} | {f.name for f in FIELDS if f.sources and not f.standard}
    labels = [field.label for field in FIELDS]
    assert len(set(labels)) == len(labels)
    assert form_behaviour() == {
        "hidden-fields": ["port"],
        "relabeling": {
            "login": "AccessKey ID",
            "password": "AccessKey secret",
            "host": "OSS endpoint",
            "schema": "Default bucket",
        },
        "placeholders": {"host": "unset: follows from Region and Network"},
    }


def test_placeholders_show_in_the_form_of_airflow() -> None:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    behaviour = {"hidden_fields": ["port"], **{k: v for k, v in form_behaviour().items() if "-" not in k}}
    standard = HookMetaService._make_standard_fields(behaviour)
    assert standard is not None
    shown = {name: value.placeholder for name, value in standard if value is not None and value.placeholder}
    assert shown == form_behaviour()["placeholders"]


def test_settings_are_documented_from_the_table() -> None:
    doc = inspect.getdoc(ConnectionSettings) or ""
    for field in FIELDS:
        assert f":param {field.attribute}: {field.description}" in doc
    assert set(re.findall(r":param (\w+):", doc)) == set(ATTRIBUTES)


def test_no_other_place_lists_the_fields() -> None:
    """The reader names only fields that depend on each other; all others are read by their type."""
    source = inspect.getsource(settings)
    named = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)} & set(
        BY_NAME
    )
    assert (
        named & {"role_session_name", "ecs_role_name", "connect_timeout", "read_timeout", "smq_topic"}
        == set()
    )


def test_pure_data() -> None:
    modules = {
        node.module
        for node in ast.walk(ast.parse(inspect.getsource(connection_fields)))
        if isinstance(node, ast.ImportFrom)
    }
    assert modules == {
        "__future__",
        "dataclasses",
        "typing",
        "airflow_provider_oss_async.clients.endpoints",
    }


def test_readme_is_current() -> None:
    readme = (generate.PACKAGE.parent / "README.md").read_text("utf-8")
    assert readme_tables.rewrite(readme) == readme, f"run {generate.COMMAND}"
