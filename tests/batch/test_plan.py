from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import time
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from lazy_object_proxy import Proxy

from airflow_provider_oss_async.batch.plan import Plan, make_plan
from airflow_provider_oss_async.batch.sources import (
    EVENT_FIELDS,
    Inventory,
    ListFile,
    ObjectListing,
    candidates,
    sources_to_dict,
)
from airflow_provider_oss_async.events import new_objects
from airflow_provider_oss_async.events.payload import make_payload
from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.process import DocumentConvert, Style
from tests.support.batches import put_many, specification

pytestmark = pytest.mark.usefixtures("quick", "connect")


async def plan_of(sources: Any, **options: Any) -> Plan:
    async with OSSAsyncHook().session() as services:
        return await make_plan(services, specification(sources, **options))


def names(plan: Plan) -> list[str]:
    return [row.source for row in plan.rows]


def reasons(plan: Plan) -> dict[str, str]:
    return dict(plan.set_aside)


async def test_a_list_of_keys_addresses_dicts_and_results() -> None:
    plan = await plan_of(
        [
            "a.mov",
            "oss://other/b.mov",
            {"source": "c.mov", "target": "own/c.mp4", "width": 640},
            {"task_id": "T", "outputs": ["oss://media/d.mov", "oss://media/e.mov"], "source": "x"},
        ]
    )
    assert names(plan) == ["a.mov", "oss://other/b.mov", "c.mov", "d.mov", "e.mov"]
    assert plan.rows[2].target == "oss://media/own/c.mp4"
    assert plan.rows[2].arguments == {"width": 640}
    assert plan.first[0] == {"source": "oss://media/a.mov", "target": "oss://media/out/a.mp4"}
    assert plan.first[2]["target"] == "oss://media/own/c.mp4"


async def test_objects_of_events() -> None:
    """What ``new_objects`` returns in one task is the ``sources`` of the next."""
    item = {"bucket": "media", "size": 4, "etag": "E", "event": "ObjectCreated:PutObject", "time": ""}
    payload = make_payload("q", {}, [{**item, "key": f"in/{n}.mov", "id": str(n)} for n in range(2)])
    event = SimpleNamespace(extra={"payload": payload, "from_trigger": True})
    objects = new_objects({"triggering_asset_events": {"asset": [event]}})
    assert EVENT_FIELDS | {"source"} == objects[0].keys()
    # A DAG may give one a target and arguments of its own.
    objects[1] |= {"target": "own/c.mp4", "width": 640}
    plan = await plan_of(json.loads(json.dumps(objects)))
    assert names(plan) == ["in/0.mov", "in/1.mov"]
    assert [(row.target, row.arguments) for row in plan.rows] == [
        (None, None),
        ("oss://media/own/c.mp4", {"width": 640}),
    ]


def test_a_time_that_airflow_has_not_looked_up_yet() -> None:
    """``prev_start_date_success`` of Airflow's context is a proxy, with native templates too."""
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    for kind in (ObjectListing, Inventory):
        where: Any = "in/" if kind is ObjectListing else "oss://media/i/manifest.json"
        known = kind(where, modified_since=cast("Any", Proxy(lambda: moment)))
        assert known.to_dict("media")["modified_since"] == moment.timestamp()
        unknown = kind(where, modified_since=cast("Any", Proxy(lambda: None)))
        assert "modified_since" not in unknown.to_dict("media")
    with pytest.raises(ProcessError, match=r"modified_since='None'.*or '1970-01-01T00:00:00Z'"):
        ObjectListing("in/", modified_since="None").to_dict("media")


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ("a.mov", "expected a list"),
        ("{{ params.files }}", "expected a list"),
        (7, "expected a list"),
        ([{"target": "x"}], r"sources\[0\].*source is missing"),
        (["ok.mov", ""], r"sources\[1\]"),
        (["../a"], r"sources\[0\].*segment"),
        ([{"source": "a", "width": object()}], r"sources\[0\].*texts and numbers"),
        (ObjectListing("in/", min_size="big"), "min_size='big'"),
        (ObjectListing("in/", modified_since="yesterday"), "modified_since.*time zone"),
        (ObjectListing("in/", modified_since="2026-01-01"), "modified_since.*time zone"),
        (ObjectListing("in/", limit=0), "limit=0"),
        (ObjectListing("None"), "prefix='None'"),
        (ObjectListing("in/", storage_classes="Standard"), "storage_classes"),
        (ObjectListing("in/", pattern=""), "pattern"),
        (ListFile("oss://media/list.parquet"), ".txt, .csv or .jsonl"),
        (Inventory("oss://media/inventory.csv"), "manifest.json"),
    ],
)
def test_wrong_sources_are_refused(sources: Any, words: str) -> None:
    with pytest.raises(ProcessError, match=words):
        sources_to_dict(sources, "media")


def test_every_wrong_argument_is_named() -> None:
    with pytest.raises(ProcessError) as caught:
        sources_to_dict(ObjectListing("in/", min_size="big", limit=-1, modified_since="x"), "media")
    assert len(caught.value.problems) == 3


async def test_a_listing_streams_what_meets_its_criteria(stand: Any) -> None:
    put_many(stand, 1203)
    stand.put("in/big.mov", b"x" * 100)
    stand.put("in/readme.txt")
    stand.put("elsewhere/a.mov")
    plan = await plan_of(ObjectListing("in/", pattern="*.mov", max_size=50))
    assert len(plan.rows) == 1203
    assert plan.size == 4 * 1203
    assert names(await plan_of(ObjectListing("oss://media/in/", min_size=50))) == ["in/big.mov"]
    assert len((await plan_of(ObjectListing("in/", limit=7))).rows) == 7
    assert (await plan_of(ObjectListing("in/", modified_since="2999-01-01T00:00:00Z"))).found == 0
    assert (await plan_of(ObjectListing("in/", storage_classes=["IA"]))).found == 0


async def test_a_listing_goes_on_after_an_outage(stand: Any) -> None:
    put_many(stand, 1500)
    stand.service.add_fault(
        "refuse", match="OSS:ListObjectsV2", status=503, code="ServiceUnavailable", every=2
    )
    assert len((await plan_of(ObjectListing("in/"))).rows) == 1500


async def test_what_is_set_aside_and_why(stand: Any) -> None:
    for key in ("in/", "in/a/", ".dlsdata/x", ".oss-async/other/ledger.jsonl", "out/old.mp4", "in/b.mov"):
        stand.put(key)
    plan = await plan_of(ObjectListing(""), target="oss://media/out/{barename}.mp4")
    assert names(plan) == ["in.mov", "in/b.mov"]
    assert reasons(plan) == {
        "in/": "folder",
        "in/a/": "folder",
        ".dlsdata/x": "internal object",
        ".oss-async/other/ledger.jsonl": "internal object",
        "out/old.mp4": "below the target prefix",
    }


async def test_targets_beside_their_sources(stand: Any) -> None:
    for key in ("v/a.mov", "v/a_small.mp4", "v/b.mov"):
        stand.put(key)
    plan = await plan_of(ObjectListing("v/"), target="oss://media/{dirname}/{barename}_small.mp4")
    assert names(plan) == ["v/a.mov", "v/b.mov"]
    assert reasons(plan) == {"v/a_small.mp4": "written by this batch"}
    with pytest.raises(ProcessError, match=r"v/a_small\.mp4 is a source, and the target of v/a\.mov"):
        await plan_of(["v/a.mov", "v/a_small.mp4"], target="oss://media/{dirname}/{barename}_small.mp4")


async def test_one_target_for_two_objects_is_refused() -> None:
    with pytest.raises(ProcessError, match=r"a/x\.mov and b/x\.mov would write the same target") as caught:
        await plan_of(["a/x.mov", "b/x.mov", "c/y.mov"])
    assert "{dirname}" in str(caught.value)
    # The same with what only the service fills in.
    with pytest.raises(ProcessError, match="same target"):
        await plan_of(
            ["a/x.doc", "b/x.doc"],
            process=DocumentConvert(target_format="png"),
            target="oss://media/out/{barename}-{index}.png",
        )


async def test_duplicates_are_set_aside() -> None:
    plan = await plan_of(["a.mov", "b.mov", "a.mov", {"source": "a.mov", "target": "two/a.mp4"}])
    assert names(plan) == ["a.mov", "b.mov", "a.mov"]
    assert reasons(plan) == {"a.mov": "duplicate"}
    with pytest.raises(ProcessError, match="same target"):
        await plan_of(["a.mov", {"source": "a.mov", "width": 640}])


async def test_braces_and_dots_in_keys_survive() -> None:
    plan = await plan_of(["x/{key}.a.mov", "y.mov"], target="oss://media/{dirname}/{{b}}/{basename}")
    assert [row["target"] for row in plan.first] == [
        "oss://media/x/{{b}}/{{key}}.a.mov",
        "oss://media/{{b}}/y.mov",
    ]


async def test_wrong_targets_are_named_before_anything_is_sent(stand: Any) -> None:
    with pytest.raises(ProcessError, match="being read") as caught:
        await plan_of(["a.mp4", "b.mov"], target="oss://media/{barename}.mp4")
    assert "a.mp4" in str(caught.value)
    with pytest.raises(ProcessError, match="nonsense"):
        await plan_of(["a.mov"], target="oss://media/{nonsense}.mp4")
    with pytest.raises(ProcessError, match="width"):
        await plan_of([{"source": "a.mov", "width": -1}])
    with pytest.raises(ProcessError, match="resolution_of_mine is not among"):
        await plan_of([{"source": "a.mov", "resolution_of_mine": 1}])
    with pytest.raises(ProcessError, match="need a specification"):
        await plan_of([{"source": "a.mov", "width": 640}], process="video/convert,f_mp4")
    assert stand.accepted() == []


async def test_too_many_objects_are_counted_and_refused(stand: Any) -> None:
    put_many(stand, 35)
    with pytest.raises(ProcessError, match="hold 35 objects, and max_objects=10"):
        await plan_of(ObjectListing("in/"), max_objects=10)
    with pytest.raises(ProcessError, match="hold more than 31 objects"):
        await plan_of(ObjectListing("in/"), max_objects=3)
    assert len((await plan_of(ObjectListing("in/"), max_objects=35)).rows) == 35


def put_old(stand: Any, key: str, age: float, body: bytes = b"data") -> None:
    """Put an object that was written some seconds ago."""
    from dataclasses import replace

    store = stand.service.cloud.store
    stand.put(key, body)
    stored = store.find("media", key)
    store._record("media", replace(stored, modified=time.time() - age))


@pytest.mark.parametrize("kind", ["listing", "list"])
async def test_targets_that_are_newer_are_skipped(stand: Any, kind: str) -> None:
    for number in range(6):
        put_old(stand, f"in/{number}.mov", 100)
    put_old(stand, "out/0.mp4", 50)
    put_old(stand, "out/1.mp4", 200)
    put_old(stand, "out/2.mp4", 50, b"")
    put_old(stand, "out/3.mp4.bak", 50)
    put_old(stand, "out/5.mp4", 50)
    sources = ObjectListing("in/") if kind == "listing" else [f"in/{number}.mov" for number in range(6)]
    plan = await plan_of(sources, if_target_exists="skip")
    assert names(plan) == [f"in/{number}.mov" for number in (1, 2, 3, 4)]
    assert Counter(reasons(plan).values()) == {"target exists and is newer": 2}
    heads = stand.requests("OSS:HeadObject")
    assert heads == (0 if kind == "listing" else 3)


async def test_several_outputs_count_as_one_target(stand: Any) -> None:
    for name in ("a", "ab", "b"):
        put_old(stand, f"in/{name}.doc", 100)
    for key in ("out/a-1.png", "out/a-2.png", "out/ab-x.png", "out/b-1.jpg"):
        put_old(stand, key, 50)
    plan = await plan_of(
        ObjectListing("in/"),
        process=DocumentConvert(target_format="png"),
        target="oss://media/out/{barename}-{index}.png",
        if_target_exists="skip",
    )
    assert names(plan) == ["in/ab.doc", "in/b.doc"]


async def test_targets_in_many_folders_are_found_in_one_listing(stand: Any) -> None:
    for number in range(40):
        put_old(stand, f"in/{number:02}/v.mov", 100)
        put_old(stand, f"out/{number:02}/v.mp4", 50 if number % 2 else 150)
    plan = await plan_of(
        ObjectListing("in/"), target="oss://media/out/{dirname}/v.mp4", if_target_exists="skip"
    )
    assert len(plan.rows) == 40
    before = stand.requests("OSS:ListObjectsV2")
    sources = [{"source": f"in/{n:02}/v.mov", "target": f"out/{n:02}/v.mp4"} for n in range(40)]
    plan = await plan_of(sources, if_target_exists="skip")
    assert len(plan.rows) == 20
    assert stand.requests("OSS:ListObjectsV2") - before == 1


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("list.txt", "\ufeffa.mov\r\n\noss://media/b.mov\nc d.mov"),
        ("list.csv", 'source,target,width\na.mov,,\n"b.mov",own/b.mp4,\nc d.mov,,640\n'),
        ("list.csv", "a.mov\nb.mov,own/b.mp4\nc d.mov\n"),
        ("list.jsonl", '"a.mov"\n{"source": "b.mov"}\n{"source": "c d.mov", "width": 640}\n'),
    ],
)
async def test_files_that_list_objects(stand: Any, name: str, body: str, zipped: bool) -> None:
    data = body.encode()
    stand.put(f"lists/{name}{'.gz' if zipped else ''}", gzip.compress(data) if zipped else data)
    plan = await plan_of(ListFile(f"oss://media/lists/{name}{'.gz' if zipped else ''}"))
    assert names(plan) == ["a.mov", "b.mov", "c d.mov"]


async def test_a_long_file_is_read_in_pieces(stand: Any) -> None:
    lines = "".join(f"{number:06}-{os.urandom(8).hex() * 8}.mov\n" for number in range(40_000))
    assert len(lines) > 5_000_000
    stand.put("lists/long.txt.gz", gzip.compress(lines.encode()))
    source = sources_to_dict(ListFile("lists/long.txt.gz"), "media")
    async with OSSAsyncHook().session() as services:
        found = [candidate.key async for candidate in candidates(services, source)]
    assert found == lines.split()


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("x.txt", None, "does not exist"),
        ("x.txt", b"a\xff\xfe", "not UTF-8"),
        ("x.txt.gz", b"plain", "not gzip"),
        ("x.jsonl", b'"a"\n{nonsense\n', "line 2 .* is not JSON"),
        ("x.csv", b'source\n"a\n', "line 2 .* is not CSV"),
        ("x.txt", b"a\n../b\n", "line 2"),
        ("x.txt", b"a" * (5 << 20), "line of more than"),
    ],
)
async def test_files_that_cannot_be_read(stand: Any, name: str, body: bytes | None, words: str) -> None:
    if body is not None:
        stand.put(name, body)
    with pytest.raises(ProcessError, match=words):
        await plan_of(ListFile(name))


def put_inventory(stand: Any, rows: list[list[str]], schema: str, **changes: Any) -> str:
    files = []
    for number, part in enumerate((rows[::2], rows[1::2])):
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(part)
        data = gzip.compress(text.getvalue().encode())
        key = f"inv/media/daily/data/{number}.csv.gz"
        stand.put(key, data)
        digest = hashlib.md5(data).hexdigest().upper()
        files.append({"key": key, "size": len(data), "MD5checksum": changes.pop("md5", digest)})
    manifest = {
        "creationTimestamp": "1764000000",
        "destinationBucket": "media",
        "sourceBucket": "media",
        "fileFormat": "CSV",
        "version": "2019-09-01",
        "files": files,
        "fileSchema": schema,
        **changes,
    }
    stand.put("inv/media/daily/2026-01-01T00-00Z/manifest.json", json.dumps(manifest).encode())
    return "oss://media/inv/media/daily/2026-01-01T00-00Z/manifest.json"


SCHEMA = "Bucket, Key, Size, StorageClass, LastModifiedDate, ObjectType"


async def test_an_inventory(stand: Any) -> None:
    rows = [
        ["media", "in/a.mov", "10", "Standard", "2026-01-01T07-06-00Z", "Normal"],
        ["media", "in/b%20%E4%B8%AD%2B.mov", "20", "IA", "2026-01-02T07-06-00Z", "Normal"],
        ["media", "in/cold.mov", "30", "Archive", "2026-01-02T07-06-00Z", "Normal"],
        ["media", "in/link.mov", "0", "Standard", "2026-01-02T07-06-00Z", "Symlink"],
        ["media", "in/dir/", "0", "Standard", "2026-01-02T07-06-00Z", "Normal"],
        ["media", "other/z.mov", "5", "Standard", "2026-01-02T07-06-00Z", "Normal"],
    ]
    uri = put_inventory(stand, rows, SCHEMA)
    plan = await plan_of(Inventory(uri, prefix="in/"))
    assert sorted(names(plan)) == ["in/a.mov", "in/b 中+.mov"]
    assert plan.size == 30
    assert reasons(plan) == {"in/cold.mov": "archived", "in/link.mov": "symlink", "in/dir/": "folder"}
    newer = await plan_of(Inventory(uri, prefix="in/", modified_since="2026-01-02T00:00:00+00:00"))
    assert names(newer) == ["in/b 中+.mov"]
    linked = await plan_of(Inventory(uri, prefix="in/"), symlinks=True)
    assert "in/link.mov" in names(linked)


async def test_versions_and_delete_markers_of_an_inventory(stand: Any) -> None:
    rows = [
        ["media", "in/a.mov", "v2", "true", "false"],
        ["media", "in/a.mov", "v1", "false", "false"],
        ["media", "in/b.mov", "v3", "true", "true"],
    ]
    uri = put_inventory(stand, rows, "Bucket, Key, VersionId, IsLatest, IsDeleteMarker")
    plan = await plan_of(Inventory(uri))
    assert names(plan) == ["in/a.mov"]
    assert plan.found == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fileSchema": "Bucket, Size"}, "not the manifest of an inventory"),
        ({"files": [{"size": 1}]}, "not the manifest of an inventory"),
        ({"fileFormat": "ORC"}, "ORC"),
        ({"files": [{"key": "gone.csv.gz"}]}, "does not exist"),
        ({"md5": "0" * 32}, "check sum"),
    ],
)
async def test_inventories_that_cannot_be_read(stand: Any, changes: dict[str, Any], words: str) -> None:
    uri = put_inventory(stand, [["media", "a", "1", "Standard", "", "Normal"]] * 2, SCHEMA, **changes)
    with pytest.raises(ProcessError, match=words):
        await plan_of(Inventory(uri))


async def test_a_dry_run_says_what_would_be_done(stand: Any) -> None:
    put_many(stand, 12)
    stand.put("in/folder/")
    summary = (await plan_of(ObjectListing("in/"))).summary()
    assert (summary["found"], summary["to_submit"], summary["bytes"]) == (13, 12, 48)
    assert summary["set_aside"] == {"folder": 1}
    assert len(summary["first"]) == 5
    assert json.loads(json.dumps(summary)) == summary


@pytest.mark.parametrize(
    "process", ["video/convert,f_mp4", "style/::h264-mp4-720p", Style("::h264-mp4-720p")]
)
async def test_strings_and_styles(process: Any) -> None:
    plan = await plan_of(["a.mov"], process=process, task_type="MediaConvert")
    assert plan.first[0]["target"] == "oss://media/out/a.mp4"
