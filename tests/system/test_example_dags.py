"""Every example DAG, run by Airflow against the stand-in, with the official SDK on the wire."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.local.demo import samples
from airflow_provider_oss_async.local.processing.ffmpeg import Media, probe
from airflow_provider_oss_async.operators.retry_policy import HAS_RETRY_POLICY

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.local.server.app import LocalService

EXAMPLES = Path(__file__).parents[2] / "example_dags"
NAMES = sorted(path.stem for path in EXAMPLES.glob("example_*.py"))


@pytest.fixture(scope="module")
def bag() -> Any:
    from airflow.dag_processing.dagbag import BundleDagBag

    return BundleDagBag(dag_folder=str(EXAMPLES), bundle_path=EXAMPLES, bundle_name="oss-async-examples")


@pytest.fixture
def run(stand_in: LocalService, bag: Any) -> Callable[..., dict[str, Any]]:
    """Run a DAG to its end; return what its tasks returned, by task id (a list for a mapped task).

    All tasks must succeed, but some may end in another state, ``also``.
    """

    def run(dag_id: str, also: str = "success", **conf: Any) -> dict[str, Any]:
        done = bag.dags[dag_id].test(run_conf=conf or None)
        tis = done.get_task_instances()
        states = {f"{ti.task_id}[{ti.map_index}]": str(ti.state) for ti in tis}
        assert set(states.values()) == {"success", also}, states
        results: dict[str, Any] = {}
        for ti in sorted(tis, key=lambda ti: ti.map_index):
            value = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
            if ti.map_index < 0:
                results[ti.task_id] = value
            else:
                results.setdefault(ti.task_id, []).append(value)
        return results

    return run


@pytest.fixture
def run_on_event(run: Any, bag: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Run a DAG on the next event of the asset that it is scheduled on; return what its tasks returned."""
    import asyncio

    from airflow.models import dagrun
    from airflow.models.asset import AssetEvent, AssetModel
    from sqlalchemy import select

    pytest.importorskip("airflow.triggers.shared_stream", reason="this Airflow has no shared streams")
    from tests.support.shared_streams import Triggerer

    async def next_event(trigger: Any) -> Any:
        async with Triggerer() as triggerer:
            number = triggerer.start(trigger)
            await triggerer.until(lambda: triggerer.events[number])
            return triggerer.events[number][0]

    def run_on_event(dag_id: str) -> dict[str, Any]:
        asset = bag.dags[dag_id].schedule
        payload = asyncio.run(next_event(asset.watchers[0].trigger))
        create = dagrun.get_or_create_dagrun

        def create_with_event(**arguments: Any) -> Any:
            made, session = create(**arguments), arguments["session"]
            model = session.scalar(select(AssetModel).where(AssetModel.name == asset.name))
            extra = {"from_trigger": True, "payload": payload}
            made.consumed_asset_events.append(AssetEvent(asset_id=model.id, extra=extra))
            session.commit()
            return made

        # dag.test() has no argument for it.
        monkeypatch.setattr(dagrun, "get_or_create_dagrun", create_with_event)
        return run(dag_id)  # type: ignore[no-any-return]

    return run_on_event


@dataclass
class Fetch:
    """Downloads outputs with the SDK."""

    folder: Path

    def __call__(self, uri: str) -> Path:
        from alibabacloud_oss_v2 import GetObjectRequest

        bucket, _, key = uri.removeprefix("oss://").partition("/")
        path = self.folder / key.replace("/", "_")
        with OSSAsyncHook() as hook:
            hook.get_conn().get_object_to_file(GetObjectRequest(bucket=bucket, key=key), str(path))
        assert path.stat().st_size > 0
        return path

    def media(self, result: dict[str, Any]) -> Media:
        """Probe the only output of a job."""
        (uri,) = result["outputs"]
        return probe(self(uri))

    def sizes(self, result: dict[str, Any]) -> list[tuple[int, int]]:
        """Sizes of the images that a job has written."""
        from PIL import Image

        sizes = []
        for uri in result["outputs"]:
            with Image.open(self(uri)) as image:
                image.load()
                sizes.append(image.size)
        return sizes


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    return Fetch(tmp_path)


def keys(result: dict[str, Any]) -> list[str]:
    assert result["status"] == "succeeded"
    return [uri.removeprefix("oss://media/") for uri in result["outputs"]]


def test_examples_load(bag: Any) -> None:
    assert bag.import_errors == {}
    assert sorted(bag.dags) == NAMES, "the id of an example DAG is the name of its file"


def test_examples_say_what_they_show_and_survive_a_restart(bag: Any) -> None:
    for name, dag in bag.dags.items():
        assert dag.description, f"{name} has no description"
        assert dag.doc_md, f"{name} has no doc_md, which is its docstring"
        waiting = [task for task in dag.tasks if getattr(task, "deferrable", False)]
        for task in waiting:
            assert task.retries == 2, (name, task.task_id)
            assert task.retry_delay <= timedelta(seconds=30), (name, task.task_id)


def test_every_example_is_run() -> None:
    for name in NAMES:
        test = name.replace("example_", "test_", 1)
        assert test in globals(), f"{name} is not run: write {test} in tests/system/test_example_dags.py"


def test_document_convert(run: Any, fetch: Fetch) -> None:
    results = run("example_document_convert")
    pages = keys(results["pages"])
    assert pages[:2] == ["examples/document/report-1.png", "examples/document/report-2.png"]
    assert all(min(size) > 200 for size in fetch.sizes(results["pages"]))
    assert keys(results["worksheets"])
    assert keys(results["first_slide"]) == ["examples/document/slide-1.png"]
    assert keys(results["pdf_deferrable"]) == ["examples/document/report.pdf"]
    assert fetch(results["pdf_deferrable"]["outputs"][0]).read_bytes().startswith(b"%PDF-")


def test_video_convert(run: Any, fetch: Fetch) -> None:
    results = run("example_video_convert")
    small = fetch.media(results["transcode"])
    assert small.video is not None
    assert small.audio is not None
    assert (small.video.codec, small.video.width, small.video.height) == ("h264", 320, 180)
    assert small.audio.codec == "aac"
    assert small.duration == pytest.approx(8, abs=0.3)
    cut = fetch.media(results["cut"])
    assert "matroska" in cut.container
    # Copied streams are cut at keyframes.
    assert 1 < (cut.duration or 0) < 7
    sound = fetch.media(results["sound_deferrable"])
    assert sound.video is None
    assert sound.audio is not None
    assert sound.audio.codec == "mp3"


def test_video_animation(run: Any, fetch: Fetch) -> None:
    from PIL import Image

    results = run("example_video_animation")
    for task_id, frames, kind in (("gif", 10, "GIF"), ("webp_deferrable", 8, "WEBP")):
        (uri,) = results[task_id]["outputs"]
        with Image.open(fetch(uri)) as image:
            assert (image.format, image.n_frames, image.size) == (kind, frames, (240, 136))  # type: ignore[attr-defined]


def test_video_snapshots(run: Any, fetch: Fetch) -> None:
    results = run("example_video_snapshots")
    assert keys(results["every_two_seconds"]) == [
        f"examples/snapshots/harbour_0_{number}.jpg" for number in range(1, 5)
    ]
    assert set(fetch.sizes(results["every_two_seconds"])) == {(640, 360)}
    assert keys(results["spread_deferrable"]) == [f"examples/snapshots/spread-{n}.png" for n in (1, 2, 3)]
    assert set(fetch.sizes(results["spread_deferrable"])) == {(320, 180)}


def test_video_sprite(run: Any, fetch: Fetch) -> None:
    results = run("example_video_sprite")
    assert fetch.sizes(results["sheet"]) == [(640, 180)]
    assert keys(results["sheets_deferrable"]) == [f"examples/sprite/harbour-{n}.png" for n in (1, 2)]


def test_video_concat(run: Any, fetch: Fetch) -> None:
    results = run("example_video_concat")
    for task_id, seconds in (("feature_and_credits", 11), ("teaser_deferrable", 3)):
        media = fetch.media(results[task_id])
        assert media.video is not None
        assert (media.video.codec, media.video.width, media.video.height) == ("h264", 320, 180)
        assert media.audio is not None
        assert (media.audio.codec, media.audio.sample_rate) == ("aac", 44100)
        assert media.duration == pytest.approx(seconds, abs=0.4)


def test_audio_convert(run: Any, fetch: Fetch) -> None:
    results = run("example_audio_convert")
    flac, opus = fetch.media(results["flac"]), fetch.media(results["opus_deferrable"])
    assert flac.audio is not None
    assert opus.audio is not None
    assert (flac.audio.codec, opus.audio.codec) == ("flac", "opus")
    assert flac.duration == pytest.approx(6, abs=0.3)
    assert opus.duration == pytest.approx(3, abs=0.3)
    assert opus.audio.channels == 1


def test_audio_concat(run: Any, fetch: Fetch) -> None:
    results = run("example_audio_concat")
    assert fetch.media(results["twice"]).duration == pytest.approx(12, abs=0.5)
    # ADTS has no header that says how long it is: what ffmpeg tells is an estimate.
    assert fetch.media(results["beginning_first_deferrable"]).duration == pytest.approx(8, rel=0.3)


def test_decode_blind_watermark(run: Any) -> None:
    results = run("example_decode_blind_watermark")
    for task_id in ("decode", "decode_deferrable"):
        assert results[task_id]["content"] == samples.WATERMARK
        assert results[task_id]["outputs"] == []
    assert results["owner"] == samples.WATERMARK


def test_process(run: Any, fetch: Fetch) -> None:
    results = run("example_process")
    small = fetch.media(results["process_string"])
    assert small.video is not None
    assert (small.video.codec, small.video.width) == ("h264", 320)
    styled = fetch.media(results["style"])
    assert styled.video is not None
    assert styled.video.codec == "h264"
    sound = fetch.media(results["specification_deferrable"])
    assert sound.audio is not None
    assert sound.audio.codec == "aac"


def test_sensor(run: Any, fetch: Fetch) -> None:
    results = run("example_sensor")
    assert "outputs" not in results["submit"]
    expected = ["examples/sensor/harbour.webm"]
    for task_id in ("wait", "wait_reschedule", "wait_deferrable"):
        assert keys(results[task_id]) == expected
    assert results["wait_by_id"]["task_id"] == results["submit"]["task_id"]
    media = fetch.media(results["wait"])
    assert media.video is not None
    assert (media.video.codec, media.video.width, media.audio) == ("vp9", 160, None)


def test_waiting(run: Any, fetch: Fetch, stand_in: LocalService) -> None:
    results = run("example_waiting")
    for task_id, name in (
        ("on_a_worker", "worker"),
        ("in_the_triggerer", "triggerer"),
        ("woken_by_a_message", "message"),
    ):
        assert keys(results[task_id]) == [f"examples/waiting/{name}.flac"]
        assert results[task_id]["status"] == "succeeded"
        audio = fetch.media(results[task_id]).audio
        assert audio is not None
        assert audio.codec == "flac"
    jobs = {job.task_id: job for job in stand_in.cloud.table.all()}
    topics = {task_id: jobs[result["task_id"]].topic for task_id, result in results.items()}
    assert topics == {"on_a_worker": "", "in_the_triggerer": "", "woken_by_a_message": "done"}


def test_mapped(run: Any, fetch: Fetch) -> None:
    results = run("example_mapped")
    assert [keys(result) for result in results["transcode"]] == [
        ["examples/mapped/harbour.mkv"],
        ["examples/mapped/credits.mkv"],
    ]
    durations = [fetch.media(result).duration for result in results["transcode"]]
    assert durations == [pytest.approx(8, abs=0.3), pytest.approx(3, abs=0.3)]
    pdf, slides = results["documents"]
    assert keys(pdf) == ["examples/mapped/report.pdf"]
    assert keys(slides)[0] == "examples/mapped/slide-1.jpg"


def test_hook(run: Any, fetch: Fetch) -> None:
    results = run("example_hook")
    assert results["check"] in ("running", "succeeded")
    assert fetch(results["wait"]["outputs"][0]).stat().st_size == results["size"]


def test_media_pipeline(run: Any, fetch: Fetch) -> None:
    results = run("example_media_pipeline", folder="other", width=320)
    video = fetch.media(results["transcode"]).video
    assert video is not None
    assert (video.width, video.height) == (320, 180)
    written = [uri for result in results.values() if isinstance(result, dict) for uri in result["outputs"]]
    assert results["summary"] == len(written)
    assert all(uri.startswith("oss://media/other/") for uri in written)
    assert keys(results["frames"]) == [f"other/frames/frame_0_{number}.jpg" for number in range(1, 5)]
    assert fetch.sizes(results["preview"]) == [(240, 136)]
    sound = fetch.media(results["sound"])
    assert sound.audio is not None
    assert sound.audio.codec == "mp3"


def test_batch(run: Any, fetch: Fetch) -> None:
    results = run("example_batch")
    assert results["preview"]["to_submit"] == 2
    assert (results["convert"]["succeeded"], results["convert"]["jobs"]) == (2, 2)
    assert fetch("oss://media/examples/batch/harbour.mkv").stat().st_size
    # The next night there is nothing left to do.
    assert run("example_batch")["convert"]["set_aside"] == {"target exists and is newer": 2}


def test_batch_inventory(run: Any, fetch: Fetch, stand_in: LocalService) -> None:
    import gzip
    import json

    from alibabacloud_oss_v2 import PutObjectRequest

    lines = "".join(f'"media","samples/{name}.docx","100","Standard"\n' for name in ("report", "gone"))
    files = [{"key": "inventory/media/daily/data/1.csv.gz", "size": 1}]
    manifest = {"sourceBucket": "media", "destinationBucket": "media", "files": files}
    manifest["fileSchema"] = "Bucket, Key, Size, StorageClass"
    folder = "inventory/media/daily/2026-01-01T00-00Z"
    with OSSAsyncHook() as hook:
        for key, body in (
            (files[0]["key"], gzip.compress(lines.encode())),
            (f"{folder}/manifest.json", json.dumps(manifest).encode()),
        ):
            hook.get_conn().put_object(PutObjectRequest(bucket="media", key=key, body=body))
    summary = run("example_batch_inventory")["convert"]
    assert (summary["succeeded"], summary["gone"]) == (1, 1)
    assert fetch("oss://media/examples/inventory/samples/report.pdf").read_bytes().startswith(b"%PDF")
    assert "samples/gone.docx,oss://media/examples" in fetch(summary["manifest"]).read_text()


def test_batch_failures(run: Any, fetch: Fetch) -> None:
    results = run("example_batch_failures")
    assert (results["convert"]["succeeded"], results["convert"]["failed"]) == (2, 1)
    (failure,) = results["failures"]
    assert failure.startswith("oss://media/samples/broken.mov: ")
    video = fetch.media({"outputs": ["oss://media/examples/orders/1001/small.mp4"]}).video
    assert video is not None
    assert video.width == 80


def test_ladder(run: Any, fetch: Fetch, stand_in: LocalService) -> None:
    results = run("example_ladder")
    # 720p and 1080p would be as large as the source.
    assert results["publish"] == {
        "h264_360p": "oss://media/examples/ladder/harbour_h264_360p.mp4",
        "small": "oss://media/examples/ladder/batch/small/harbour.mp4",
        "tiny": "oss://media/examples/ladder/batch/tiny/harbour.mp4",
    }
    found = {name: fetch.media({"outputs": [uri]}).video for name, uri in results["publish"].items()}
    sizes = {name: (video.width, video.height, video.fps) for name, video in found.items() if video}
    assert sizes == {"h264_360p": (640, 360, 25), "small": (640, 360, 12), "tiny": (160, 90, 25)}


def test_weekly_check(run: Any, stand_in: LocalService) -> None:
    from alibabacloud_oss_v2 import CopyObjectRequest, DeleteObjectRequest

    def upload(*names: str) -> None:
        with OSSAsyncHook() as hook:
            for name in names:
                hook.get_conn().copy_object(
                    CopyObjectRequest(
                        bucket="media",
                        key=f"weekly/{name}.mp4",
                        source_bucket="media",
                        source_key="samples/credits.mp4",
                    )
                )

    upload("deleted", "truncated", "aged", "sound")
    # One job writes half of its result, and says that it has succeeded.
    stand_in.add_fault("output_cut", match="*/weekly/truncated.mp4")
    assert run("example_weekly_check")["repair"]["succeeded"] == 4
    with OSSAsyncHook() as hook:
        hook.get_conn().delete_object(DeleteObjectRequest(bucket="media", key="examples/weekly/deleted.ts"))
    # Times of objects are whole seconds.
    time.sleep(1.1)
    upload("aged")
    results = run("example_weekly_check")
    reasons = {row["source"].rpartition("/")[2]: row["reason"] for row in results["check"]}
    assert reasons.pop("deleted.mp4") == "missing"
    assert reasons.pop("aged.mp4") == "older than its source"
    assert "duration" in reasons.pop("truncated.mp4")
    assert reasons == {}
    assert (results["repair"]["succeeded"], results["left"]) == (3, 0)
    # The next week there is nothing to do.
    assert run("example_weekly_check")["check"] == []


def test_failures(run: Any, stand_in: LocalService) -> None:
    def jobs() -> set[str]:
        return {job.task_id for job in stand_in.cloud.table.all() if job.key == "samples/broken.mov"}

    before = jobs()
    summary = run("example_failures", also="failed")["summary"]
    assert summary["code"] == "UnsupportedMedia"
    assert "cannot be read" in summary["detail"]
    # One, although there are two retries. Airflow 3.2 has no policy that would say so.
    assert len(jobs() - before) == (1 if HAS_RETRY_POLICY else 3)
    assert summary["job"]["task_id"] in jobs() - before


def test_follow_by_id(run: Any) -> None:
    from airflow_provider_oss_async.process import AudioConvert

    with OSSAsyncHook() as hook:
        job = hook.submit(
            "samples/announcement.mp3", AudioConvert(container="flac"), target="examples/follow.flac"
        )
    results = run("example_follow_by_id", task_id=job.task_id, imm_task_type=job.task_type)
    assert results["check"] in ("running", "succeeded")
    assert (results["wait"]["task_id"], results["wait"]["status"]) == (job.task_id, "succeeded")


def test_nightly(run: Any) -> None:
    first = run("example_nightly")["summary"]
    assert first["paid"] == 6
    # The second night pays for nothing.
    assert run("example_nightly")["summary"] == {"objects": first["objects"], "paid": 0}


def test_office_reports(run: Any, fetch: Fetch) -> None:
    results = run("example_office_reports")
    written = [uri for result in results["pdf"] for uri in result["outputs"]]
    assert "oss://media/examples/reports/report.pdf" in written
    assert all(fetch(uri).read_bytes().startswith(b"%PDF-") for uri in written)


def test_podcast(run: Any, fetch: Fetch) -> None:
    results = run("example_podcast")
    # Six seconds of jingle, eight of sound, two of jingle.
    assert fetch.media(results["episode"]).duration == pytest.approx(16, abs=0.8)


def test_watermark_branch(run: Any) -> None:
    marked = run("example_watermark_branch", also="skipped")
    assert marked["marked"] == f"oss://media/samples/photo.png belongs to {samples.WATERMARK}"
    unmarked = run("example_watermark_branch", also="skipped", picture="samples/unmarked.png")
    assert unmarked["unmarked"] == "oss://media/samples/unmarked.png has no watermark"


def test_inbox(run: Any, run_on_event: Any, fetch: Fetch, stand_in: LocalService) -> None:
    from alibabacloud_oss_v2 import CopyObjectRequest

    from tests.support.local_service import admin

    rule = {
        "bucket": "media",
        "events": ["ObjectCreated:PutObject", "ObjectCreated:CopyObject"],
        "objects": [{"prefix": "inbox/"}],
        "queue": "inbox",
    }
    assert admin(stand_in, "PUT", "event-rules/inbox", rule)[0] == 200
    with OSSAsyncHook() as hook:
        for key in ("inbox/first.mp4", "inbox/second.mp4", "inbox/other.txt"):
            hook.get_conn().copy_object(
                CopyObjectRequest(
                    bucket="media", key=key, source_bucket="media", source_key="samples/credits.mp4"
                )
            )
    summary = run_on_event("example_inbox")["convert"]
    assert (summary["objects"], summary["succeeded"]) == (2, 2)
    assert fetch.media({"outputs": ["oss://media/examples/inbox/first.mp4"]}).duration


def test_job_ended(run_on_event: Any, stand_in: LocalService) -> None:
    from airflow_provider_oss_async.process import AudioConvert
    from tests.support.local_service import admin

    admin(stand_in, "PUT", "topics/done", {"queues": ["ended-jobs"]})
    with OSSAsyncHook() as hook:
        good = hook.submit(
            "samples/announcement.mp3",
            AudioConvert(container="flac"),
            target="examples/ended.flac",
            notify_topic="done",
        )
        bad = hook.submit(
            "samples/broken.mov",
            AudioConvert(container="mp3"),
            target="examples/bad.mp3",
            notify_topic="done",
        )
    report = run_on_event("example_job_ended")["report"]
    assert report == {"outputs": ["oss://media/examples/ended.flac"], "failed": [bad.task_id]}
    assert good.task_id not in report["failed"]
