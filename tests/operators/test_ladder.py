"""One call makes the tasks of a ladder, and one dict holds its results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.operators.batch import OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.operators.ladder import video_ladder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick", "connect")

DAG_FILE = """
from airflow.sdk import DAG, task
from airflow_provider_oss_async.operators.ladder import video_ladder
from airflow_provider_oss_async.process.presets import preset

with DAG("ladder", schedule=None):
    @task
    def check(found):
        import json, os
        with open(os.environ["RESULTS"], "w") as file:
            json.dump(found, file)

    check(video_ladder({arguments}))
"""


@pytest.fixture
def run_ladder(
    start_stand: Callable[..., Any], dag_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Run a ladder of a real video of 320 x 180 px, on a stand-in whose jobs do nothing."""
    from airflow.dag_processing.dagbag import DagBag

    from airflow_provider_oss_async.local.processing.ffmpeg import run

    stand = start_stand()
    monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", json.dumps(stand.connection()))
    monkeypatch.setenv("RESULTS", str(tmp_path / "results.json"))
    video = tmp_path / "video.mp4"
    run(["-f", "lavfi", "-i", "testsrc2=s=320x180:r=5:d=1", "-preset", "ultrafast", str(video)])
    stand.put("in/video.mp4", video.read_bytes())
    sound = tmp_path / "sound.mp3"
    run(["-f", "lavfi", "-i", "sine=d=1", str(sound)])
    stand.put("in/sound.mp3", sound.read_bytes())
    stand.put("in/broken.mp4", b"no video")

    def run_one(arguments: str, state: str = "success") -> tuple[Any, dict[str, Any]]:
        path = dag_folder / "ladder.py"
        path.write_text(DAG_FILE.format(arguments=arguments))
        bag = DagBag(str(path))
        assert bag.import_errors == {}
        assert str(bag.dags["ladder"].test().state) == state
        results = tmp_path / "results.json"
        return stand, json.loads(results.read_text()) if state == "success" else {}

    return run_one


def test_a_task_for_each_rendition(run_ladder: Any) -> None:
    stand, found = run_ladder(
        'source="in/video.mp4", target="out/{barename}_{rendition}.mp4", '
        'renditions={"s": preset("h264_360p", height=64), "m": preset("h264_540p")}'
    )
    # The source is smaller than both: the larger one would be the same again.
    assert list(found) == ["s"]
    assert found["s"]["outputs"] == ["oss://media/out/video_s.mp4"]
    (job,) = stand.accepted()
    assert "s_640x64" in job["process"]
    assert stand.requests("OSS:video/info") == 1


def test_all_in_one_batch_without_a_probe(run_ladder: Any) -> None:
    arguments = (
        'source={"task_id": "x", "outputs": ["oss://media/in/video.mp4"]}, '
        'target="out/{rendition}/{barename}.mp4", probe=False, batch=True, group_id="g", '
        'renditions=["h264_720p", "h264_360p"], if_target_exists="skip"'
    )
    stand, found = run_ladder(arguments)
    assert list(found) == ["h264_360p", "h264_720p"]
    assert {name: row["state"] for name, row in found.items()} == dict.fromkeys(found, "succeeded")
    assert found["h264_720p"]["outputs"] == ["oss://media/out/h264_720p/video.mp4"]
    assert stand.requests("OSS:video/info") == 0
    # The second time nothing is paid.
    _, again = run_ladder(arguments)
    assert again["h264_360p"] == {
        "source": "oss://media/in/video.mp4",
        "target": "oss://media/out/h264_360p/video.mp4",
        "state": "set_aside",
    }
    assert len(stand.accepted()) == 2


@pytest.mark.parametrize("source", ["in/broken.mp4", "in/sound.mp3"])
def test_a_source_that_is_no_video_pays_for_nothing(run_ladder: Any, source: str) -> None:
    stand, _ = run_ladder(f'source="{source}", target="out/{{rendition}}.mp4"', state="failed")
    assert stand.accepted() == []


def test_wrong_arguments_are_named_when_the_dag_is_parsed() -> None:
    with (
        DAG("d", schedule=None),
        pytest.raises(ProcessError, match=r"target='out\.mp4'.*'h264_1p' is not known"),
    ):
        video_ladder(source="a.mov", target="out.mp4", renditions=["h264_1p"])


def test_further_arguments_go_to_the_operator_that_converts() -> None:
    with DAG("d", schedule=None) as dag:
        video_ladder(source="a.mov", target="{rendition}", batch=True, max_in_flight=3, oss_conn_id="other")
    task = dag.get_task("ladder.convert")
    assert isinstance(task, OSSAsyncProcessBatchOperator)
    assert (task.max_in_flight, task.oss_conn_id) == (3, "other")
