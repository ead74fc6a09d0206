from __future__ import annotations

import hashlib
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import alibabacloud_oss_v2 as oss
import alibabacloud_oss_v2.aio as oss_aio
import pytest

from tests.support.local_service import admin, b64, convert, oss_client, put, refusal, submit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_oss_async.local.server.app import LocalService

KEYS = ["plain.txt", "a b+c%2F?#&=.mov", "目录/影片 ü🎬.mp4", "a//b", "line\nend", "x" * 900]


@pytest.fixture
def client(service: LocalService) -> oss.Client:
    client = oss_client(service)
    put(client, "in.mov")
    return client


@pytest.mark.parametrize("key", KEYS)
def test_an_object_comes_back_as_it_was_put(client: oss.Client, key: str) -> None:
    body = b"\x00\xffbody" * 1000
    result = client.put_object(
        oss.PutObjectRequest(
            bucket="media", key=key, body=body, content_type="video/x", metadata={"made-by": "me"}
        )
    )
    got = client.get_object(oss.GetObjectRequest(bucket="media", key=key))
    assert got.body.content == body
    assert got.etag == result.etag == f'"{hashlib.md5(body).hexdigest().upper()}"'
    assert (got.content_type, got.metadata) == ("video/x", {"made-by": "me"})
    head = client.head_object(oss.HeadObjectRequest(bucket="media", key=key))
    assert (head.content_length, head.etag) == (len(body), got.etag)
    client.delete_object(oss.DeleteObjectRequest(bucket="media", key=key))
    assert not client.is_object_exist("media", key)


@pytest.mark.parametrize("key", KEYS)
async def test_the_asynchronous_sdk_is_understood_too(service: LocalService, key: str) -> None:
    config = oss.config.Config(
        region="cn-hangzhou",
        endpoint=service.endpoint,
        credentials_provider=oss.credentials.StaticCredentialsProvider("local", "local-secret"),
    )
    async with oss_aio.AsyncClient(config) as client:
        await client.put_object(oss.PutObjectRequest(bucket="media", key=key, body=b"abc"))
        got = await client.get_object(oss.GetObjectRequest(bucket="media", key=key))
        assert await got.body.read() == b"abc"
        result = await client.async_process_object(
            oss.AsyncProcessObjectRequest(bucket="media", key=key, process=convert())
        )
        assert str(result.task_id).startswith("MediaConvert-")
        listed = await client.list_objects_v2(oss.ListObjectsV2Request(bucket="media", prefix=key))
        assert listed.contents is not None
        assert key in [entry.key for entry in listed.contents]


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=5-99", 206, b"56789"),
        ("bytes=20-30", 200, b"0123456789"),
    ],
)
def test_ranges(client: oss.Client, wanted: str, status: int, body: bytes) -> None:
    put(client, "digits", b"0123456789")
    got = client.get_object(oss.GetObjectRequest(bucket="media", key="digits", range_header=wanted))
    assert (got.status_code, got.body.content) == (status, body)


def test_a_large_object_is_streamed(client: oss.Client) -> None:
    body = bytes(range(256)) * 20_000
    put(client, "large", body)
    assert client.get_object(oss.GetObjectRequest(bucket="media", key="large")).body.content == body


def test_conditions(client: oss.Client) -> None:
    etag = client.head_object(oss.HeadObjectRequest(bucket="media", key="in.mov")).etag
    with pytest.raises(oss.exceptions.OperationError) as caught:
        client.head_object(oss.HeadObjectRequest(bucket="media", key="in.mov", if_none_match=etag))
    assert refusal(caught.value).status_code == 304
    with pytest.raises(oss.exceptions.OperationError) as caught:
        client.get_object(oss.GetObjectRequest(bucket="media", key="in.mov", if_match='"0"'))
    assert refusal(caught.value).code == "PreconditionFailed"
    with pytest.raises(oss.exceptions.OperationError) as caught:
        client.put_object(
            oss.PutObjectRequest(bucket="media", key="in.mov", body=b"new", forbid_overwrite=True)
        )
    assert refusal(caught.value).code == "FileAlreadyExists"


def test_a_wrong_checksum_is_refused(client: oss.Client) -> None:
    with pytest.raises(oss.exceptions.OperationError) as caught:
        client.put_object(
            oss.PutObjectRequest(bucket="media", key="k", body=b"abc", content_md5="1B2M2Y8AsgTpgAmY7PhCfg==")
        )
    assert refusal(caught.value).code == "InvalidDigest"
    assert not client.is_object_exist("media", "k")


def test_missing_things_have_the_documented_codes(client: oss.Client) -> None:
    with pytest.raises(oss.exceptions.OperationError) as caught:
        client.get_object(oss.GetObjectRequest(bucket="media", key="none"))
    assert (refusal(caught.value).status_code, refusal(caught.value).code) == (404, "NoSuchKey")
    with pytest.raises(oss.exceptions.OperationError) as caught:
        client.head_object(oss.HeadObjectRequest(bucket="media", key="none"))
    assert (refusal(caught.value).code, refusal(caught.value).ec) == ("NoSuchKey", "0026-00000001")
    with pytest.raises(oss.exceptions.OperationError) as caught:
        put(client, "k", bucket="no-such-bucket")
    error = refusal(caught.value)
    assert (error.status_code, error.code, error.ec) == (404, "NoSuchBucket", "0015-00000101")
    assert error.request_id


def test_what_is_not_there_is_said_so(client: oss.Client) -> None:
    with pytest.raises(oss.exceptions.OperationError) as caught:
        client.put_bucket_acl(oss.PutBucketAclRequest(bucket="media", acl="private"))
    assert (refusal(caught.value).status_code, refusal(caught.value).code) == (501, "NotImplemented")
    with pytest.raises(oss.exceptions.OperationError) as caught:
        client.get_object(oss.GetObjectRequest(bucket="media", key="in.mov", process="image/resize,w_10"))
    assert refusal(caught.value).code == "NotImplemented"


def test_listing(client: oss.Client) -> None:
    names = ["a/1 +%.txt", "a/2.txt", "a/b/3.txt", "a/b/4.txt", "b.txt"]
    for name in names:
        put(client, name)
    found: list[str] = []
    pages = 0
    for page in client.list_objects_v2_paginator().iter_page(
        oss.ListObjectsV2Request(bucket="media", max_keys=2)
    ):
        pages += 1
        found += [str(entry.key) for entry in page.contents or []]
    assert found == sorted([*names, "in.mov"])
    assert pages == 3
    folder = client.list_objects_v2(oss.ListObjectsV2Request(bucket="media", prefix="a/", delimiter="/"))
    assert [entry.key for entry in folder.contents or []] == ["a/1 +%.txt", "a/2.txt"]
    assert [entry.prefix for entry in folder.common_prefixes or []] == ["a/b/"]
    first = client.list_objects_v2(
        oss.ListObjectsV2Request(bucket="media", prefix="a/", delimiter="/", max_keys=2)
    )
    second = client.list_objects_v2(
        oss.ListObjectsV2Request(
            bucket="media", prefix="a/", delimiter="/", continuation_token=first.next_continuation_token
        )
    )
    assert (first.is_truncated, second.is_truncated) == (True, False)
    assert [entry.prefix for entry in second.common_prefixes or []] == ["a/b/"]


def test_buckets(client: oss.Client) -> None:
    client.put_bucket(oss.PutBucketRequest(bucket="second-bucket"))
    names = [bucket.name for bucket in client.list_buckets(oss.ListBucketsRequest()).buckets or []]
    assert names == ["media", "second-bucket"]
    info = client.get_bucket_info(oss.GetBucketInfoRequest(bucket="second-bucket")).bucket_info
    assert info is not None
    assert (info.name, info.location) == ("second-bucket", "oss-cn-hangzhou")
    assert (
        client.get_bucket_location(oss.GetBucketLocationRequest(bucket="media")).location == "oss-cn-hangzhou"
    )
    assert client.is_bucket_exist("media")
    assert not client.is_bucket_exist("other")
    put(client, "k", bucket="second-bucket")
    with pytest.raises(oss.exceptions.OperationError) as caught:
        client.delete_bucket(oss.DeleteBucketRequest(bucket="second-bucket"))
    assert refusal(caught.value).code == "BucketNotEmpty"
    client.delete_object(oss.DeleteObjectRequest(bucket="second-bucket", key="k"))
    client.delete_bucket(oss.DeleteBucketRequest(bucket="second-bucket"))
    assert not client.is_bucket_exist("second-bucket")


def test_objects_outlive_the_server(start: Callable[..., LocalService]) -> None:
    first = start()
    put(oss_client(first), "kept/key ü", b"1")
    first.stop()
    got = oss_client(start()).get_object(oss.GetObjectRequest(bucket="media", key="kept/key ü"))
    assert got.body.content == b"1"


def test_the_bucket_may_stand_in_the_host_name(service: LocalService, client: oss.Client) -> None:
    url = client.presign(oss.GetObjectRequest(bucket="media", key="in.mov")).url
    assert url is not None
    address = service.endpoint.removeprefix("http://")
    request = urllib.request.Request(
        url.replace("/media/in.mov", "/in.mov"),
        headers={"Host": f"media.localhost:{address.rpartition(':')[2]}"},
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.read() == b"data"


@pytest.mark.parametrize(
    ("process", "task_prefix"),
    [
        (convert(), "MediaConvert-"),
        (f"doc/convert,target_png,source_docx|sys/saveas,o_{b64('p/{index}.png')}", "formatconvert-"),
        (f"image/deblindwatermark,s_low,t_text|sys/notify,topic_{b64('t')}", "DecodeBlindWatermark-"),
        (f"style/::h264-mp4-720p|sys/saveas,o_{b64('o.mp4')}", "MediaConvert-"),
    ],
)
def test_a_submission_is_answered_with_three_ids(client: oss.Client, process: str, task_prefix: str) -> None:
    result = client.async_process_object(
        oss.AsyncProcessObjectRequest(bucket="media", key="in.mov", process=process)
    )
    assert str(result.task_id).startswith(task_prefix)
    assert result.event_id
    assert result.process_request_id != result.request_id


ROUTE = "ResourceNotFound, The specified resource Route is not found."
NO_TARGET = f"video/convert,f_mp4|sys/saveas,b_{b64('nowhere')},o_{b64('o.mp4')}"


@pytest.mark.parametrize(
    ("process", "status", "code", "message"),
    [
        ("image/resize,w_10", 404, "Imm Client", ROUTE),
        ("video/snapshot,t_1000", 404, "Imm Client", ROUTE),
        (
            f"doc/convert,source_docx|sys/saveas,o_{b64('o.png')}",
            400,
            "Imm Client",
            "InvalidArgument, [target]:is required.",
        ),
        ("video/convert,f_mp4", 400, "Imm Client", "InvalidArgument, [saveas]:is required."),
        (f"video/convert,f_mp4,vb_1|sys/saveas,o_{b64('o.mp4')}", 400, "Imm Client", "InvalidArgument, "),
        ("video/convert,f_mp4|sys/saveas,o_a!b", 400, "Imm Client", "InvalidArgument, "),
        (f"video/convert,f_mp4|sys/saveas,o_{b64('folder/')}", 400, "Imm Client", "InvalidArgument, "),
        (NO_TARGET, 404, "Imm Client", "ResourceNotFound, The specified resource Bucket is not found."),
        (f"style/unknown|sys/saveas,o_{b64('o.mp4')}", 400, "InvalidArgument", "The style unknown"),
        ("", 400, "InvalidRequest", "no x-oss-async-process parameter found"),
    ],
)
def test_a_wrong_submission_is_refused(
    service: LocalService, client: oss.Client, process: str, status: int, code: str, message: str
) -> None:
    with pytest.raises(oss.exceptions.OperationError) as caught:
        submit(client, process)
    error = refusal(caught.value)
    assert (error.status_code, error.code) == (status, code)
    assert str(error.message).startswith(message)
    assert admin(service, "GET", "state")[1]["jobs"] == {}


def test_a_bucket_without_project_is_refused(start: Callable[..., LocalService]) -> None:
    client = oss_client(start(buckets={"media": None}))
    put(client, "in.mov")
    with pytest.raises(oss.exceptions.OperationError) as caught:
        submit(client, convert())
    error = refusal(caught.value)
    assert (error.status_code, error.code) == (404, "Imm Client")
    assert "ResourceNotFound, The specified resource Attachment is not found. [" in str(error.message)


def test_source_and_bucket_must_exist(client: oss.Client) -> None:
    with pytest.raises(oss.exceptions.OperationError) as caught:
        submit(client, convert(), key="none.mov")
    assert refusal(caught.value).code == "NoSuchKey"
    with pytest.raises(oss.exceptions.OperationError) as caught:
        submit(client, convert(), bucket="nowhere")
    assert refusal(caught.value).code == "NoSuchBucket"


def test_a_target_in_another_region_is_refused(service: LocalService, client: oss.Client) -> None:
    admin(service, "PUT", "buckets/far-away", {"region": "cn-beijing"})
    with pytest.raises(oss.exceptions.OperationError) as caught:
        submit(client, f"video/convert,f_mp4|sys/saveas,b_{b64('far-away')},o_{b64('o.mp4')}")
    assert refusal(caught.value).code == "Imm Client"
    with pytest.raises(oss.exceptions.OperationError) as caught:
        put(client, "k", bucket="far-away")
    assert refusal(caught.value).code == "AccessDenied"


def test_custom_styles_belong_to_a_bucket(service: LocalService, client: oss.Client) -> None:
    admin(service, "PUT", "buckets/media", {"styles": {"small": "video/convert,f_mp4,vcodec_h264,s_640x"}})
    assert submit(client, f"style/small|sys/saveas,o_{b64('o.mp4')}").startswith("MediaConvert-")
    jobs = admin(service, "GET", "state?jobs=1")[1]["job_list"]
    assert [job["process"].partition("|")[0] for job in jobs] == ["video/convert,f_mp4,vcodec_h264,s_640x"]


def test_accepted_submissions_are_logged(client: oss.Client, tmp_path: Path) -> None:
    task_id = submit(client, convert())
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (tmp_path / "data/accepted.jsonl").read_text().splitlines()
    ]
    assert [(line["task_id"], line["source"], line["process"]) for line in lines] == [
        (task_id, "oss://media/in.mov", convert())
    ]


# What is in a file


def info(client: oss.Client, key: str, process: str, bucket: str = "media") -> dict[str, Any]:
    answer = client.get_object(oss.GetObjectRequest(bucket, key, process=process))
    assert answer.body is not None
    found: dict[str, Any] = json.loads(answer.body.read())
    return {**found, "etag": answer.etag}


def test_what_is_in_a_file(service: LocalService, clips: dict[str, Path]) -> None:
    client = oss_client(service)
    put(client, "a.mp4", clips["wide.mp4"].read_bytes())
    for process in ("video/info", "audio/info"):
        found = info(client, "a.mp4", process)
        assert found["VideoStreams"][0]["AverageFrameRate"].count("/") == 1
        assert found["AudioStreams"][0]["CodecName"] == "aac"
        assert found["etag"] == client.head_object(oss.HeadObjectRequest("media", "a.mp4")).etag


def test_what_the_information_about_a_file_needs(service: LocalService, clips: dict[str, Path]) -> None:
    client = oss_client(service)
    service.cloud.store.create_bucket("loose", "cn-hangzhou", service.cloud.owner)
    put(client, "text.mp4", b"text")
    put(client, "text.mp4", b"text", bucket="loose")
    for key, process, bucket, status, code in (
        ("none.mp4", "video/info", "media", 404, "NoSuchKey"),
        ("text.mp4", "video/info", "loose", 404, "Imm Client"),
        ("text.mp4", "video/info", "media", 400, "Imm Client"),
        ("text.mp4", "image/info", "loose", 400, "InvalidArgument"),
        ("text.mp4", "image/resize,w_10", "media", 501, "NotImplemented"),
    ):
        with pytest.raises(oss.exceptions.OperationError) as caught:
            info(client, key, process, bucket)
        assert (refusal(caught.value).status_code, refusal(caught.value).code) == (status, code)
    put(client, "a.mp4", clips["wide.mp4"].read_bytes())
    service.cloud.behaviour.info_body = "foreign"
    assert info(client, "a.mp4", "video/info").keys() == {"RequestId", "format", "streams", "etag"}
    service.add_fault("deny", match="imm:DetectMediaMeta")
    with pytest.raises(oss.exceptions.OperationError) as caught:
        info(client, "text.mp4", "audio/info")
    assert refusal(caught.value).code == "AccessDenied"
