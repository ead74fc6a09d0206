"""What a web page or a broken client can send: it is refused, and never an internal error."""

from __future__ import annotations

import http.client
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import alibabacloud_oss_v2 as oss
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_oss_async.local.server.markup import read_xml, to_xml
from tests.support.local_service import admin, b64, oss_client
from tests.support.signing import sign_imm, sign_oss, sign_smq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_oss_async.local.server.app import LocalService

DOCTYPE = (
    '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><Delete><Object><Key>&c;</Key></Object></Delete>'
)


def words(text: str) -> list[str]:
    return text.split()


def raw(
    service: LocalService, method: str, target: str, headers: dict[str, Any], body: bytes = b""
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(service.endpoint.removeprefix("http://"), timeout=10)
    connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if "Transfer-Encoding" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def requests(service: LocalService) -> dict[str, tuple[str, str, dict[str, Any], bytes]]:
    """A valid signed request to each service, as a web page could make it: the key is public."""
    host = service.endpoint.removeprefix("http://")
    process = f"x-oss-async-process=video/convert,f_mp4|sys/saveas,o_{b64('o.mp4')}".encode()
    imm = "/?ProjectName=local-project"
    smq = "/queues/done/messages?waitseconds=0"
    return {
        "oss": (
            "POST",
            "/media/in.mov?x-oss-async-process",
            sign_oss("POST", "/media/in.mov", {"x-oss-async-process": ""}, {}),
            process,
        ),
        "imm": ("POST", imm, sign_imm("ListTasks", imm, host, b""), b""),
        "smq": ("GET", smq, sign_smq("GET", smq), b""),
        "admin": ("GET", "/_local/state", {}, b""),
    }


@pytest.fixture
def service(start: Callable[..., LocalService]) -> LocalService:
    service = start(topics={"jobs": ["done"]})
    service.put("in.mov", b"data")
    return service


@pytest.mark.parametrize("name", ["oss", "imm", "smq", "admin"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example.com"},
        {"Host": "rebound.example.com:9000"},
        {"Host": "127.0.0.1.example.com"},
        {"Host": "localhost.example.com"},
        {"Host": ""},
        {"Origin": "http://example.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_web_pages_are_refused(service: LocalService, name: str, headers: dict[str, str]) -> None:
    method, target, signed, body = requests(service)[name]
    status, answer = raw(service, method, target, {**signed, **headers}, body)
    assert (status, service.jobs()) == (403, [])
    assert b"stand-in" in answer


@pytest.mark.parametrize("name", ["oss", "imm", "smq", "admin"])
@pytest.mark.parametrize("host", ["", "localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:9000"])
def test_loopback_names_are_accepted(service: LocalService, name: str, host: str) -> None:
    method, target, signed, body = requests(service)[name]
    if name == "imm" and host:
        signed = sign_imm("ListTasks", target, host, body)
    headers = {**signed, "Host": host} if host else signed
    expected = 404 if name == "smq" else 200  # there is no message
    assert raw(service, method, target, headers, body)[0] == expected


@pytest.mark.parametrize("name", ["..%2Foutside", "..", "a", "UPPER", "a" * 64, "a_b", "%2e%2e%2fx", "a%00b"])
def test_bucket_names_are_checked(service: LocalService, tmp_path: Path, name: str) -> None:
    status, answer = admin(service, "PUT", f"buckets/{name}", {})
    assert (status, answer) == (400, {"error": "InvalidBucketName"})
    assert [bucket.name for bucket in service.cloud.store.buckets()] == ["media"]
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    assert {path.name for path in (tmp_path / "data/buckets").iterdir()} == {"media"}


@pytest.mark.parametrize(
    ("path", "data", "said"),
    [
        ("buckets/media", {"styles": []}, "the value of styles"),
        ("buckets/media", {"styles": {"a": 1}}, "the value of styles"),
        (
            "buckets/media",
            {"imm_project": 1, "size": 2},
            "there is no field 'size'; the value of imm_project",
        ),
        ("topics/a%0d%0ab", {}, "a topic is named with"),
        ("topics/jobs", {"queues": ["a b"]}, "a queue is named with"),
        ("topics/jobs", {"queues": "done"}, "the value of queues"),
        ("topics/jobs", {"queues": ["q"], "format": "YAML"}, "the format must be one of"),
        ("keys/K", {"token": "t"}, "secret is required"),
        ("keys/K", {"secret": "s", "expires_in": "soon"}, "the value of expires_in"),
        ("projects/p", {"engine_concurrency": 0}, "the value of engine_concurrency"),
        ("settings", {"list_delay": -1}, "the value of list_delay"),
        ("settings", {"queue_seconds": "1"}, "the value of queue_seconds"),
        ("settings", [], "must be a JSON object"),
    ],
)
def test_wrong_admin_requests_are_refused(service: LocalService, path: str, data: Any, said: str) -> None:
    status, answer = admin(service, "PUT", path, data)
    assert status == 400
    assert said in answer["error"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_document_types_are_refused_in_any_encoding(encoding: str) -> None:
    name = encoding.removesuffix("-le").removesuffix("-be")
    document = f'<?xml version="1.0" encoding="{name}"?>{DOCTYPE}'.encode(encoding)
    with pytest.raises(ValueError, match=r"document type|not well-formed|encoding"):
        read_xml(document)
    with pytest.raises(ValueError, match="document type"):
        read_xml(f'<?xml version="1.0" encoding="utf-16"?>{DOCTYPE}'.encode("utf-16"))


@pytest.mark.parametrize(
    "body", [b"", b"<a>", b'<?xml version="1.0" encoding="nonsense"?><a/>', b"\xff\xfe\x00", b"<a>&b;</a>"]
)
def test_what_is_not_xml_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_xml(body)


@given(st.text(st.characters(exclude_categories=[])))
def test_written_xml_can_be_read(text: str) -> None:
    found = read_xml(to_xml("a", [("b", text)])).findtext("b") or ""
    assert len(found) == len(text)
    allowed = re.fullmatch("[\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*", text)
    assert found == text or not allowed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x-oss-expires=900", "x-oss-expires=abc"),
        ("x-oss-expires=900", "x-oss-expires=nan"),
        ("x-oss-expires=900", "x-oss-expires=-1"),
        ("x-oss-expires=900", "x-oss-expires=604801"),
        ("x-oss-expires=900", "x-oss-expires=" + "9" * 5000),
        ("x-oss-expires=900", ""),
        ("x-oss-date=2", "x-oss-date=x"),
    ],
)
def test_a_wrong_expiry_is_refused(service: LocalService, old: str, new: str) -> None:
    url = oss_client(service).presign(oss.GetObjectRequest(bucket="media", key="in.mov")).url
    assert url is not None
    assert old in url
    status, answer = raw(service, "GET", url.replace(old, new).removeprefix(service.endpoint), {})
    assert status == 400
    assert b"<Code>InvalidArgument</Code>" in answer


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [2 << 20, 5 << 20])
def test_a_large_process_is_refused(service: LocalService, size: int, chunked: bool) -> None:
    headers = sign_oss("POST", "/media/in.mov", {"x-oss-async-process": ""}, {})
    body = b"x-oss-async-process=" + b"a" * size
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    status, answer = raw(service, "POST", "/media/in.mov?x-oss-async-process", headers, body)
    assert status == 400
    assert b"<Code>EntityTooLarge</Code>" in answer


NAMES = st.sampled_from(
    [
        "x-oss-date",
        "date",
        "range",
        "if-match",
        "content-md5",
        "content-type",
        "x-oss-copy-source",
        "x-oss-copy-source-range",
        "x-oss-forbid-overwrite",
        "x-oss-meta-a",
        "x-oss-security-token",
        "security-token",
        "cache-control",
        "content-encoding",
        "x-oss-metadata-directive",
        "x-oss-complete-all",
        "x-oss-copy-source-if-match",
        "x-mns-version",
        "x-acs-action",
        "x-oss-range-behavior",
        "expires",
        "x-acs-version",
        "x-oss-content-sha256",
    ]
)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f"), max_size=20)
VALUES = st.one_of(
    TEXT,
    st.sampled_from(
        [
            *words(
                "-1 nan 1e400 bytes=- bytes=5-1 bytes=99999999999999999999- ² /media /media/in.mov // true"
            ),
            *words(
                "/x/y?versionId {} [1] %ff%fe a\udcffb 00010101T000000Z W10= W251bGwsICIxIl0= W3sgfSwiIl0="
            ),
            "",
            "9" * 5000,
            "[" * 3000,
            "Thu, 01 Jan 0001 00:00:00 -9999",
            "Mon, 99 Foo 99999 99:99:99 GMT",
        ]
    ),
)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=3)
QUERY = st.dictionaries(
    st.sampled_from(
        words(
            "uploads uploadId partNumber append position delete prefix delimiter marker max-keys list-type "
            "start-after continuation-token encoding-type x-oss-async-process max-parts part-number-marker "
            "objectMeta acl location bucketInfo response-content-type response-expires fetch-owner "
            "OSSAccessKeyId Expires Signature x-oss-signature-version x-oss-credential x-oss-signature "
            "x-oss-expires security-token"
        )
    ),
    VALUES,
    max_size=4,
)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"x-oss-async-process=" + b"video/convert," * 500,
            b"x-oss-async-process=style/::",
            b"<Delete/>",
            b"<Delete><Object/></Delete>",
            b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>",
            DOCTYPE.encode("utf-16"),
            b"<" * 5000,
            b"<a>" * 20_000,
        ]
    ),
)
METHODS = st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"])
FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    from airflow_provider_oss_async.local.pytest_plugin import copy_source
    from airflow_provider_oss_async.local.server.app import LocalService

    with LocalService(
        tmp_path_factory.mktemp("fuzz"), processor=copy_source, topics={"jobs": ["done"]}
    ) as service:
        service.put("in.mov", b"data")
        yield service


def check(status: int, answer: bytes) -> None:
    assert status < 500 or status == 501, answer


def encoded(headers: dict[str, str]) -> dict[str, bytes]:
    return {name: value.encode("utf-8", "surrogateescape") for name, value in headers.items()}


@FUZZ
@given(METHODS, st.sampled_from(words("/ /media /media/in.mov /media/new /other/k")), QUERY, HEADERS, BODIES)
def test_no_request_to_oss_is_an_internal_error(
    shared: LocalService, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    signed = sign_oss(method, path if path.count("/") > 1 else path.rstrip("/") + "/", query, headers)
    text = "&".join(f"{quote(n, '')}={quote(v, '', errors='replace')}" for n, v in query.items())
    check(*raw(shared, method, f"{path}?{text}", encoded({**headers, **signed}), body))


@FUZZ
@given(
    st.sampled_from(
        [
            *words("GetTask ListTasks GetProject GetOSSBucketAttachment AttachOSSBucket Other"),
            "ListAttachedOSSBuckets",
            "GetDecodeBlindWatermarkResult",
        ]
    ),
    st.dictionaries(
        st.sampled_from(
            words("ProjectName TaskId TaskType TaskTypes Sort Order MaxResults NextToken Status OSSBucket")
            + words("StartTimeRange EndTimeRange RequestDefinition")
        ),
        st.one_of(
            VALUES,
            st.sampled_from(words("local-project media MediaConvert EndTime desc")),
            st.sampled_from(
                [
                    '{"Start": 1}',
                    '{"End": []}',
                    '{"Start": "0001-01-01T00:00:00+14:00"}',
                    '{"Start": "9999-12-31T23:59:59Z"}',
                ]
            ),
        ),
        max_size=6,
    ),
    BODIES,
    st.sampled_from(
        ["application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "text/plain; charset=x", ""]
    ),
)
def test_no_request_to_imm_is_an_internal_error(
    shared: LocalService, action: str, given_: dict[str, str], body: bytes, kind: str
) -> None:
    query = "&".join(
        f"{n}={quote(v, '', errors='replace')}" for n, v in {"ProjectName": "local-project", **given_}.items()
    )
    headers = sign_imm(action, f"/?{query}", shared.endpoint.removeprefix("http://"), body)
    check(*raw(shared, "POST", f"/?{query}", encoded({**headers, "Content-Type": kind}), body))


@FUZZ
@given(
    METHODS,
    st.sampled_from(
        [*words("queues/done/messages topics/jobs/messages queues/%0d%0a/messages queues a/b/c"), ""]
    ),
    st.dictionaries(
        st.sampled_from(words("waitseconds numOfMessages ReceiptHandle VisibilityTimeout peekonly")),
        VALUES.filter(lambda value: value.strip() not in words("1 2 3 4 5 6 7 8 9")),
        max_size=3,
    ),
    st.one_of(BODIES, st.sampled_from([b"<Message><MessageBody>a</MessageBody></Message>", b"<Message/>"])),
    VALUES,
)
def test_no_request_to_smq_is_an_internal_error(
    shared: LocalService, method: str, path: str, query: dict[str, str], body: bytes, md5: str
) -> None:
    text = "&".join(f"{n}={quote(v, '', errors='replace')}" for n, v in query.items())
    target = f"/{path}?{text}"
    check(*raw(shared, method, target, encoded(sign_smq(method, target, {"content-md5": md5})), body))


FIELDS = words(
    "imm_project region styles queues format secret token expires_in kind match seconds times every status "
    "code message list_delay queue_seconds engine_concurrency"
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)


@FUZZ
@given(
    METHODS,
    st.sampled_from([*words("state faults buckets/fuzz-bucket projects/p topics/t keys/k settings x/y"), ""]),
    JSON,
)
def test_no_admin_request_is_an_internal_error(
    shared: LocalService, method: str, path: str, data: Any
) -> None:
    try:
        check(*raw(shared, method, f"/_local/{path}", {}, json.dumps(data).encode()))
    finally:
        shared.clear_faults()


@pytest.mark.parametrize("kind", ["oss", "imm", "smq"])
def test_text_of_any_kind_in_an_error(service: LocalService, kind: str) -> None:
    """A message that XML and headers cannot hold reaches the client all the same."""
    service.add_fault("refuse", status=418, code="Teapot", message="a\x00\ud800\r\n<&>é")
    method, target, signed, body = requests(service)[kind]
    assert raw(service, method, target, signed, body)[0] == 418
