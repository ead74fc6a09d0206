"""Clients that the project did not write fill the stand-in: oss2 (signature V1, V4), the V2 SDK with V1."""

from __future__ import annotations

import gzip
import http.client
import io
import time
import urllib.error
import urllib.request
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import alibabacloud_oss_v2 as oss
import oss2
import pytest

from airflow_provider_oss_async.local.server.signatures import AccessKey
from tests.support.local_service import convert, oss_client, put, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_oss_async.local.server.app import LocalService

ROLE = AccessKey("STS.role", "role-secret", "role-token", expires_at=time.time() + 3600)
KEYS = ["plain.txt", "a b+c%2F?#&=.mov", "目录/影片 ü🎬.mp4"]
AUTHS: dict[str, Any] = {
    "v1": lambda: oss2.Auth("local", "local-secret"),
    "v1-sts": lambda: oss2.StsAuth(ROLE.id, ROLE.secret, ROLE.token),
    "v4": lambda: oss2.AuthV4("local", "local-secret"),
    "v4-sts": lambda: oss2.StsAuth(ROLE.id, ROLE.secret, ROLE.token, auth_version="v4"),
}


@pytest.fixture
def service(start: Callable[..., LocalService]) -> LocalService:
    return start(keys=[AccessKey("local", "local-secret"), ROLE])


@pytest.fixture(params=list(AUTHS))
def bucket(service: LocalService, request: pytest.FixtureRequest) -> Any:
    return oss2.Bucket(AUTHS[request.param](), service.endpoint, "media", region="cn-hangzhou")


@pytest.fixture
def v1(service: LocalService) -> Any:
    return oss2.Bucket(oss2.Auth("local", "local-secret"), service.endpoint, "media")


@pytest.mark.parametrize("key", KEYS)
def test_objects(bucket: Any, key: str) -> None:
    # The client compares the CRC-64 of both directions.
    bucket.put_object(key, b"body", headers={"x-oss-meta-a": "1"})
    got = bucket.get_object(key)
    assert (got.read(), got.headers["x-oss-meta-a"]) == (b"body", "1")
    head = bucket.get_object_meta(key)
    assert (head.content_length, bucket.object_exists(key)) == (4, True)
    assert bucket.get_object(key, byte_range=(1, 2)).read() == b"od"
    url = bucket.sign_url("GET", key, 60, slash_safe=True, params={"response-content-type": "text/x"})
    with urllib.request.urlopen(url) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"body", "text/x")
    url = bucket.sign_url("PUT", key + "2", 60, slash_safe=True)
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("PUT", url.partition(urlsplit(url).netloc)[2], b"new")
    assert connection.getresponse().status == 200
    connection.close()
    assert bucket.get_object(key + "2").read() == b"new"
    bucket.delete_object(key)
    assert not bucket.object_exists(key)


def test_listing(bucket: Any) -> None:
    for name in ("a/1 +", "a/2", "a/b/3", "a/b/4", "b"):
        bucket.put_object(name, b"1")
    assert [entry.key for entry in oss2.ObjectIterator(bucket, max_keys=2)] == [
        "a/1 +",
        "a/2",
        "a/b/3",
        "a/b/4",
        "b",
    ]
    assert [entry.key for entry in oss2.ObjectIteratorV2(bucket, max_keys=2)] == [
        "a/1 +", "a/2", "a/b/3", "a/b/4", "b",
    ]  # fmt: skip
    found = [(entry.key, entry.is_prefix()) for entry in oss2.ObjectIterator(bucket, "a/", "/", max_keys=1)]
    assert found == [("a/1 +", False), ("a/2", False), ("a/b/", True)]
    page = bucket.list_objects(marker="a/2", max_keys=1)
    assert ([entry.key for entry in page.object_list], page.next_marker) == (["a/b/3"], "a/b/3")
    assert page.object_list[0].owner.id


def test_copies(bucket: Any, v1: Any) -> None:
    bucket.put_object("dir/a ü+.txt", b"1", headers={"x-oss-meta-a": "1"})
    etag = bucket.copy_object("media", "dir/a ü+.txt", "b.txt").etag
    assert bucket.get_object("b.txt").headers["x-oss-meta-a"] == "1"
    bucket.copy_object(
        "media", "b.txt", "b.txt", headers={"x-oss-metadata-directive": "REPLACE", "x-oss-meta-b": "2"}
    )
    assert "x-oss-meta-a" not in bucket.head_object("b.txt").headers
    assert bucket.head_object("b.txt").etag == etag
    with pytest.raises(oss2.exceptions.NoSuchKey):
        bucket.copy_object("media", "none", "c")
    with pytest.raises(oss2.exceptions.PreconditionFailed):
        bucket.copy_object("media", "b.txt", "c", headers={"x-oss-copy-source-if-match": '"0"'})
    v1.append_object("log", 0, b"1")
    with pytest.raises(oss2.exceptions.OssError) as caught:
        bucket.copy_object("media", "log", "c")
    assert caught.value.status == 400


def test_appends(bucket: Any) -> None:
    first = bucket.append_object("log", 0, b"abc", init_crc=0)
    assert first.next_position == 3
    second = bucket.append_object("log", 3, b"def", init_crc=first.crc)
    assert second.next_position == 6
    assert bucket.get_object("log").read() == b"abcdef"
    head = bucket.head_object("log")
    assert (head.object_type, head.headers["x-oss-next-append-position"]) == ("Appendable", "6")
    with pytest.raises(oss2.exceptions.PositionNotEqualToLength) as caught:
        bucket.append_object("log", 3, b"x")
    assert (caught.value.status, caught.value.next_position) == (409, 6)
    with pytest.raises(oss2.exceptions.PositionNotEqualToLength):
        bucket.append_object("none", 1, b"x")
    bucket.put_object("normal", b"1")
    with pytest.raises(oss2.exceptions.ObjectNotAppendable) as refused:
        bucket.append_object("normal", 1, b"x")
    assert refused.value.status == 409
    bucket.put_object("log", b"replaced")
    assert bucket.head_object("log").object_type == "Normal"


def test_an_append_without_position_is_refused(service: LocalService) -> None:
    with pytest.raises(oss.exceptions.OperationError) as caught:
        oss_client(service).invoke_operation(
            oss.OperationInput("AppendObject", "POST", bucket="media", key="k", parameters={"append": ""})
        )
    assert (refusal(caught.value).code, refusal(caught.value).ec) == ("MissingArgument", "0016-00000501")


def test_a_job_reads_an_appendable_object_as_it_was(start: Callable[..., LocalService]) -> None:
    service = start("jobs")
    client = oss2.Bucket(oss2.Auth("local", "local-secret"), service.endpoint, "media")
    client.append_object("log", 0, b"first")
    linked = service.cloud.store.temporary()
    assert service.cloud.store.link("media", "log", linked)
    client.append_object("log", 5, b"second")
    assert linked.read_bytes() == b"first"


def test_appends_outlive_the_server(start: Callable[..., LocalService], tmp_path: Path) -> None:
    first = start("kept")
    oss_client(first).append_object(
        oss.AppendObjectRequest(bucket="media", key="log", position=0, body=b"abc")
    )
    first.stop()
    # What a killed server wrote and did not record.
    with next((tmp_path / "kept/buckets/media/objects").glob("[0-9a-f]*[0-9a-f]")).open("ab") as file:
        file.write(b"lost")
    client = oss_client(start("kept"))
    client.append_object(oss.AppendObjectRequest(bucket="media", key="log", position=3, body=b"def"))
    assert client.get_object(oss.GetObjectRequest(bucket="media", key="log")).body.content == b"abcdef"


def test_multipart_uploads(bucket: Any, tmp_path: Path) -> None:
    body = bytes(range(256)) * 1200
    path = tmp_path / "large"
    path.write_bytes(body)
    oss2.resumable_upload(
        bucket,
        "large ü",
        str(path),
        store=oss2.ResumableStore(root=str(tmp_path)),
        multipart_threshold=1,
        part_size=102400,
    )
    assert bucket.get_object("large ü").read() == body
    head = bucket.head_object("large ü")
    assert (head.object_type, head.etag[-2:]) == ("Multipart", "-3")
    upload = bucket.init_multipart_upload("joined").upload_id
    parts = [oss2.models.PartInfo(1, bucket.upload_part("joined", upload, 1, body[:102400]).etag)]
    copied = bucket.upload_part_copy("media", "large ü", (102400, None), "joined", upload, 2)
    parts.append(oss2.models.PartInfo(2, copied.etag))
    listed = bucket.list_parts("joined", upload, max_parts=1)
    assert ([part.part_number for part in listed.parts], listed.is_truncated) == ([1], True)
    listed = bucket.list_parts("joined", upload, marker=listed.next_marker)
    assert [(part.part_number, part.size) for part in listed.parts] == [(2, len(body) - 102400)]
    bucket.complete_multipart_upload("joined", upload, parts)
    assert bucket.get_object("joined").read() == body


def test_wrong_multipart_uploads(bucket: Any) -> None:
    upload = bucket.init_multipart_upload("k").upload_id
    small = oss2.models.PartInfo(1, bucket.upload_part("k", upload, 1, b"1").etag)
    second = oss2.models.PartInfo(2, bucket.upload_part("k", upload, 2, b"2").etag)

    def code(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            call(*arguments, **options)
        return str(caught.value.code)

    assert code(bucket.complete_multipart_upload, "k", upload, [small, second]) == "EntityTooSmall"
    assert (
        code(bucket.complete_multipart_upload, "k", upload, [oss2.models.PartInfo(3, "0")]) == "InvalidPart"
    )
    assert (
        code(bucket.complete_multipart_upload, "k", upload, [oss2.models.PartInfo(1, "0")]) == "InvalidPart"
    )
    assert code(bucket.upload_part, "k", upload, 10_001, b"") == "InvalidArgument"
    assert code(bucket.upload_part, "other", upload, 1, b"") == "NoSuchUpload"
    bucket.abort_multipart_upload("k", upload)
    assert code(bucket.list_parts, "k", upload) == "NoSuchUpload"
    assert not bucket.object_exists("k")


def test_batch_delete(bucket: Any) -> None:
    for key in KEYS:
        bucket.put_object(key, b"1")
    assert set(bucket.batch_delete_objects([*KEYS, "missing"]).deleted_keys) == {*KEYS, "missing"}
    assert list(oss2.ObjectIterator(bucket)) == []


def test_nothing_is_overwritten_where_that_is_forbidden(bucket: Any) -> None:
    bucket.put_object("k", b"old")
    bucket.append_object("log", 0, b"old")
    keep = {"x-oss-forbid-overwrite": "true"}
    upload = bucket.init_multipart_upload("k").upload_id
    part = oss2.models.PartInfo(1, bucket.upload_part("k", upload, 1, b"1").etag)
    calls: list[Callable[[], Any]] = [
        lambda: bucket.put_object("k", b"new", headers=keep),
        lambda: bucket.copy_object("media", "log2", "k", headers=keep),
        lambda: bucket.append_object("log", 3, b"new", headers=keep),
        lambda: bucket.init_multipart_upload("k", headers=keep),
        lambda: bucket.complete_multipart_upload("k", upload, [part], headers=keep),
    ]
    for call in calls:
        bucket.put_object("log2", b"other")
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            call()
        assert (caught.value.status, caught.value.code) == (409, "FileAlreadyExists")
    assert bucket.get_object("k").read() == b"old"


def test_a_submission(bucket: Any) -> None:
    bucket.put_object("in.mov", b"1")
    assert bucket.async_process_object("in.mov", convert()).task_id.startswith("MediaConvert-")


def test_buckets(service: LocalService, v1: Any) -> None:
    account = oss2.Service(oss2.Auth("local", "local-secret"), service.endpoint)
    assert [found.name for found in account.list_buckets().buckets] == ["media"]
    assert v1.get_bucket_info().location == "oss-cn-hangzhou"
    assert v1.get_bucket_location().location == "oss-cn-hangzhou"


def test_wrong_v1_signatures(service: LocalService) -> None:
    def code(auth: Any) -> str:
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            oss2.Bucket(auth, service.endpoint, "media").get_object("k")
        return str(caught.value.code)

    assert code(oss2.Auth("local", "wrong")) == "SignatureDoesNotMatch"
    assert code(oss2.Auth("other", "local-secret")) == "InvalidAccessKeyId"
    assert code(oss2.StsAuth(ROLE.id, ROLE.secret, "wrong")) == "InvalidSecurityToken"
    client = oss2.Bucket(oss2.Auth("local", "local-secret"), service.endpoint, "media")
    url = client.sign_url("GET", "k", 60)
    for wrong, status in (
        (url.replace("Expires=", "Expires=9"), b"SignatureDoesNotMatch"),
        (client.sign_url("GET", "k", -60), b"Request has expired."),
        (url.replace("/k?", "/other?"), b"SignatureDoesNotMatch"),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(wrong)
        assert status in caught.value.read()


def test_an_encoded_body_is_stored_as_it_comes(service: LocalService) -> None:
    body = gzip.compress(b"text")
    client = oss_client(service)
    client.put_object(oss.PutObjectRequest(bucket="media", key="k.gz", body=body, content_encoding="gzip"))
    assert service.get("k.gz") == body


def test_a_v1_date_may_be_fifteen_minutes_off(service: LocalService) -> None:
    class Late(oss2.Auth):  # type: ignore[misc]
        def _sign_request(self, req: Any, bucket_name: Any, key: Any) -> None:
            req.headers["x-oss-date"] = formatdate(time.time() - 16 * 60, usegmt=True)
            super()._sign_request(req, bucket_name, key)

    with pytest.raises(oss2.exceptions.ServerError) as caught:
        oss2.Bucket(Late("local", "local-secret"), service.endpoint, "media").get_object("k")
    assert caught.value.code == "RequestTimeTooSkewed"


def test_the_v2_sdk_with_v1(service: LocalService) -> None:
    for key, secret, token in (("local", "local-secret", None), (ROLE.id, ROLE.secret, ROLE.token)):
        client = oss_client(service, key, secret, token, signature_version="v1")
        put(client, "in.mov")
        assert client.get_object(oss.GetObjectRequest(bucket="media", key="in.mov")).body.content == b"data"
        url = client.presign(oss.GetObjectRequest(bucket="media", key="in.mov")).url
        assert url is not None
        assert "OSSAccessKeyId=" in url
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"data"


def test_the_v2_sdk(service: LocalService) -> None:
    client = oss_client(service)
    client.uploader(part_size=102400, parallel_num=2).upload_from(
        oss.PutObjectRequest(bucket="media", key="up"), io.BytesIO(bytes(300_000))
    )
    assert client.head_object(oss.HeadObjectRequest(bucket="media", key="up")).object_type == "Multipart"
    with client.append_file("media", "log") as file:
        file.write(b"abc")
        file.write(b"def")
    assert client.get_object(oss.GetObjectRequest(bucket="media", key="log")).body.content == b"abcdef"
    client.copy_object(oss.CopyObjectRequest(bucket="media", key="copy", source_key="up"))
    result = client.delete_multiple_objects(
        oss.DeleteMultipleObjectsRequest(
            bucket="media", objects=[oss.DeleteObject(key=key) for key in ("copy", "up", "log")]
        )
    )
    assert {entry.key for entry in result.deleted_objects or []} == {"copy", "up", "log"}
    listed = client.list_objects(oss.ListObjectsRequest(bucket="media"))
    assert not listed.contents
