from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, Asset

from airflow_provider_oss_async.exceptions import LedgerError, OSSBatchFailedError, ProcessError
from airflow_provider_oss_async.operators.batch import (
    KEY,
    FinalBatchFailedError,
    Inventory,
    ListFile,
    ObjectListing,
    OSSAsyncProcessBatchOperator,
)
from airflow_provider_oss_async.process import DecodeBlindWatermark, Style, VideoConvert
from tests.support.batches import put_many
from tests.support.tasks import deferred, resume_deferred, run_to_end, started_by

pytestmark = pytest.mark.usefixtures("quick", "connect")


@pytest.fixture
def new_context(new_try: Any) -> Any:
    def make(before: Any = None, max_tries: int = 2, try_number: int = 1, **names: Any) -> Any:
        context = new_try(before, max_tries)
        identity = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, **names}
        for name, value in {**identity, "try_number": try_number}.items():
            setattr(context["ti"], name, value)
        return context

    return make


def batch(**arguments: Any) -> OSSAsyncProcessBatchOperator:
    values = {
        "process": VideoConvert(container="mp4"),
        "sources": ObjectListing("in/"),
        "target": "out/{barename}.mp4",
        "max_submits_per_second": 1000,
        **arguments,
    }
    return OSSAsyncProcessBatchOperator(task_id="t", **values)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("explicit", [False, True])
def test_a_batch(stand: Any, new_context: Any, deferrable: bool, explicit: bool) -> None:
    keys = put_many(stand, 8)
    context = new_context()
    sources = keys if explicit else ObjectListing("in/")
    summary = run_to_end(batch(sources=sources, deferrable=deferrable), context)
    assert (summary["objects"], summary["succeeded"]) == (8, 8)
    assert len(stand.accepted()) == 8
    assert summary["ledger"] == "oss://media/.oss-async/d/r/t/-1/2/ledger.jsonl"
    assert summary["manifest"].startswith("oss://media/.oss-async/d/r/t/-1/2/manifest-1-")
    stored = context["task_state_store"][KEY]
    assert (stored["ledger"], stored["phase"]) == (summary["ledger"], "finished")
    assert stored["counts"]["succeeded"] == 8
    json.dumps(summary)


def test_a_long_list_does_not_travel_in_the_trigger(stand: Any, new_context: Any) -> None:
    keys = put_many(stand, 2500)
    waiting = deferred(batch(sources=keys, deferrable=True), new_context())
    assert len(json.dumps(waiting.trigger.serialize()[1])) < 4000
    assert stand.accepted() == []


def test_a_failed_batch(stand: Any, new_context: Any) -> None:
    put_many(stand, 4)
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video")
    context = new_context()
    with pytest.raises(FinalBatchFailedError, match="1 of 4 objects failed") as caught:
        run_to_end(batch(deferrable=True), context)
    assert context["ti"].xcoms["summary"] == caught.value.summary
    assert context["ti"].xcoms["code"] == "InvalidFile"
    assert context["task_state_store"][KEY]["phase"] == "failed"


def test_a_failed_batch_that_a_retry_may_mend(stand: Any, new_context: Any) -> None:
    put_many(stand, 4)
    stand.service.add_fault("job_fail", code="InternalError", times=1)
    context = new_context()
    with pytest.raises(OSSBatchFailedError) as caught:
        batch(attempts=1).execute(context)
    assert not isinstance(caught.value, FinalBatchFailedError)
    summary = batch(attempts=1).execute(new_context(context, try_number=2))
    assert summary["succeeded"] == 4
    assert len(stand.accepted()) == 5


def test_a_clear_starts_anew(stand: Any, new_context: Any) -> None:
    put_many(stand, 3)
    context = new_context()
    first = batch().execute(context)
    assert batch().execute(new_context(context, try_number=2)) == first
    assert len(stand.accepted()) == 3
    second = batch().execute(new_context(context, max_tries=4, try_number=3))
    assert len(stand.accepted()) == 6
    assert second["ledger"] != first["ledger"]
    # With this option only what is missing is paid for.
    third = batch(if_target_exists="skip").execute(new_context(context, max_tries=6, try_number=5))
    assert third["set_aside"] == {"target exists and is newer": 3}
    assert len(stand.accepted()) == 6


def test_mapped_instances_have_ledgers_of_their_own(stand: Any, new_context: Any) -> None:
    put_many(stand, 2, prefix="a/")
    put_many(stand, 2, prefix="b/")
    for index, prefix in enumerate(("a/", "b/")):
        task = batch(sources=ObjectListing(prefix), target="out/{dirname}/{barename}.mp4")
        assert task.execute(new_context(map_index=index))["succeeded"] == 2
    assert len(stand.accepted()) == 4


def test_a_dry_run_sends_nothing(stand: Any, new_context: Any) -> None:
    put_many(stand, 7)
    before = stand.requests("OSS:AppendObject")
    summary = batch(dry_run="true").execute(new_context())
    assert summary["dry_run"] is True
    assert (summary["to_submit"], summary["bytes"]) == (7, 28)
    assert summary["first"][0] == {
        "source": "oss://media/in/00000.mov",
        "target": "oss://media/out/00000.mp4",
    }
    assert stand.accepted() == []
    assert stand.requests("OSS:AppendObject") == before


PRICES = {"currency": "CNY", "per_minute": {"h264": 0.5}, "round_up_seconds": 60}


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_batch_stops_before_its_first_job_where_it_costs_more_than_it_may(
    stand: Any, new_context: Any, deferrable: bool
) -> None:
    """The objects are no videos, so what they would cost cannot be told."""
    put_many(stand, 3)
    task = batch(prices=PRICES, max_cost="1", deferrable=deferrable)
    with pytest.raises(ProcessError, match=r"whether the cost is below max_cost=1 CNY cannot be told"):
        run_to_end(task, new_context())
    assert stand.accepted() == []
    assert stand.requests("OSS:video/info") == 3
    # A dry run says so, and is not stopped.
    plan = batch(prices=PRICES, max_cost=1, probe_sample="2", dry_run=True).execute(new_context())
    assert (plan["estimate"]["probed"], plan["estimate"]["cost"]) == (2, None)
    plan = batch(prices={**PRICES, "per_job": {"*": 0.25}}, dry_run=True).execute(new_context())
    assert plan["estimate"]["jobs"] == {"video/convert": 3}
    assert "estimate" not in batch(dry_run=True).execute(new_context())


def test_templates_are_rendered_and_then_checked(stand: Any, new_context: Any) -> None:
    put_many(stand, 3, prefix="2026-01-01/")
    with DAG("d", schedule=None, render_template_as_native_obj=False):
        task = batch(
            process=VideoConvert.template(container="{{ kind }}", video_codec="h264", width="{{ width }}"),
            sources=ObjectListing("{{ ds }}/", limit="{{ limit }}"),
            target="out/{barename}.{{ kind }}",
            max_objects="{{ limit }}",
            dry_run="{{ dry }}",
        )
    values: Any = {"kind": "mp4", "width": "640", "ds": "2026-01-01", "limit": "2", "dry": "False"}
    rendered = copy.deepcopy(task)
    rendered.render_template_fields(new_context() | values)
    assert rendered.execute(new_context())["succeeded"] == 2
    assert all("s_640x" in job["process"] for job in stand.accepted())
    wrong = copy.deepcopy(task)
    wrong.render_template_fields(new_context() | values | {"width": "wide"})
    with pytest.raises(ProcessError, match="width='wide'"):
        wrong.execute(new_context())
    with pytest.raises(ProcessError, match="widht is not an argument of VideoConvert"):
        VideoConvert.template(container="mp4", widht="1")


def test_sources_from_an_xcom_of_results(stand: Any, new_context: Any) -> None:
    put_many(stand, 2)
    results = [{"task_id": "x", "outputs": [f"oss://media/in/{n:05}.mov"]} for n in range(2)]
    assert batch(sources=results).execute(new_context())["succeeded"] == 2


def test_every_wrong_argument_is_named(stand: Any, new_context: Any) -> None:
    task = batch(
        process="video/convert,f_mp4|sys/saveas,o_b3V0",
        sources="in/",
        target="/x",
        if_target_exists="maybe",
        if_target_triggers="perhaps",
        max_objects=0,
        max_in_flight="many",
        attempts=99,
        max_failed=-1,
        timeout=0,
        object_timeout=timedelta(days=9),
        max_submits_per_second=0,
        manifest_format="xml",
        on_uncertain_submit="hope",
        completion="smq",
        ledger="",
        dry_run="perhaps",
        probe="perhaps",
        probe_sample=0,
        prices={"currency": "CNY"},
        max_cost=0,
    )
    with pytest.raises(ProcessError) as caught:
        task.execute(new_context())
    for name in (
        "process", "sources", "target", "if_target_exists", "if_target_triggers", "max_objects",
        "max_in_flight", "attempts",
        "max_failed", "timeout", "object_timeout", "max_submits_per_second", "manifest_format",
        "on_uncertain_submit", "completion", "ledger", "dry_run", "probe", "probe_sample",
        "prices", "max_cost",
    ):  # fmt: skip
        assert any(problem.startswith(name) for problem in caught.value.problems), name
    assert stand.requests("OSS:AppendObject") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"target": None}, "target is missing"),
        ({"process": DecodeBlindWatermark()}, "writes no object"),
        ({"process": "style/::h264-mp4-720p"}, "task_type"),
        ({"oss_conn_id": ""}, "oss_conn_id=''"),
        ({"max_cost": 1}, "max_cost has no meaning without prices"),
        ({"sources": []}, ""),
    ],
)
def test_what_does_not_fit_together(new_context: Any, arguments: dict[str, Any], words: str) -> None:
    if not words:
        assert batch(**arguments).execute(new_context())["objects"] == 0
        return
    with pytest.raises(ProcessError, match=words):
        batch(**arguments).execute(new_context())


@pytest.mark.parametrize(
    ("ledger", "expected"),
    [
        ("oss://books/ledgers/", "oss://books/ledgers/d/r/t/-1/2/ledger.jsonl"),
        ("oss://books", "oss://books/.oss-async/d/r/t/-1/2/ledger.jsonl"),
        ("ledgers", "oss://media/ledgers/d/r/t/-1/2/ledger.jsonl"),
    ],
)
def test_another_place_for_the_ledger(new_context: Any, ledger: str, expected: str) -> None:
    assert batch(ledger=ledger).batch_specification(new_context()).ledger == expected


def test_a_place_without_rights_is_refused_before_anything_is_paid(stand: Any, new_context: Any) -> None:
    put_many(stand, 2)
    stand.service.add_fault("refuse", match="OSS:AppendObject", status=403, code="AccessDenied", times=0)
    for deferrable in (False, True):
        with pytest.raises(LedgerError, match="Grant oss:PutObject"):
            run_to_end(batch(deferrable=deferrable), new_context())
    assert stand.accepted() == []


def test_a_superseded_try_does_not_begin(stand: Any, new_context: Any) -> None:
    put_many(stand, 2)
    context = new_context()

    def refuse(value: Any) -> None:
        raise RuntimeError("404")

    context["task_state_store"].before_set = refuse
    with pytest.raises(RuntimeError, match="404"):
        batch().execute(context)
    assert stand.accepted() == []


def test_without_a_task_state_store(stand: Any, new_context: Any) -> None:
    put_many(stand, 2)
    context = new_context()
    del context["task_state_store"]
    assert batch().execute(context)["succeeded"] == 2
    assert batch().execute(context)["jobs"] == 2
    assert len(stand.accepted()) == 2


def test_asset_events_name_the_manifest(stand: Any, new_context: Any) -> None:
    put_many(stand, 2)
    outlet = Asset("oss://media/out/")
    context = new_context()
    summary = batch(outlets=[outlet]).execute(context)
    assert context["outlet_events"][outlet].extra["manifest"] == summary["manifest"]


def test_lineage_names_prefixes(stand: Any, new_context: Any) -> None:
    put_many(stand, 2)
    task = batch()
    task.execute(new_context())
    facets = task.get_openlineage_facets_on_complete(None)
    assert [(item.namespace, item.name) for item in facets.inputs] == [("oss://media", "in/")]
    assert [(item.namespace, item.name) for item in facets.outputs] == [("oss://media", "out/")]


def test_a_killed_task_submits_nothing_more(stand: Any, new_context: Any) -> None:
    put_many(stand, 3)
    task = batch()
    task.on_kill()
    with pytest.raises(Exception, match="killed"):
        task.execute(new_context())
    assert stand.accepted() == []


def test_a_trigger_brings_refusals_of_the_plan(stand: Any, new_context: Any) -> None:
    put_many(stand, 5)
    with pytest.raises(ProcessError, match="hold 5 objects, and max_objects=2"):
        run_to_end(batch(deferrable=True, max_objects=2), new_context())
    with pytest.raises(ProcessError, match="same target"):
        run_to_end(batch(deferrable=True, target="out/x.mp4"), new_context(max_tries=3))
    assert stand.accepted() == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"sources": ListFile("lists/a.txt")},
        {"sources": Inventory("oss://media/inv/manifest.json", prefix="in/")},
        {"process": Style("::h264-mp4-720p")},
        {"process": "video/convert,f_mp4,vcodec_h264"},
    ],
)
def test_the_trigger_can_be_made_again(new_context: Any, arguments: dict[str, Any]) -> None:
    waiting = deferred(batch(deferrable=True, **arguments), new_context())
    path, data = waiting.trigger.serialize()
    again = type(waiting.trigger)(**json.loads(json.dumps(data)))
    assert again.serialize() == (path, data)
    assert waiting.timeout is not None
    assert waiting.timeout > timedelta(hours=24)


def test_the_event_survives_json(stand: Any, new_context: Any) -> None:
    put_many(stand, 1)
    event = resume_deferred(deferred(batch(deferrable=True), new_context()))
    assert event["status"] == "success"
    assert event["result"]["succeeded"] == 1


def test_a_task_can_be_copied() -> None:
    task = batch()
    copied = copy.deepcopy(task)
    assert copied._killed is not task._killed
    assert copied.sources is not task.sources


# Targets that would start the DAG again


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("listed", [False, True])
def test_targets_that_would_start_the_dag_again_are_refused_before_anything_is_paid(
    stand: Any, new_context: Any, deferrable: bool, listed: bool
) -> None:
    keys = put_many(stand, 30)
    sources: Any = ObjectListing("in/")
    if listed:
        # Only one of them has a target there.
        sources = [*keys[:-1], {"source": keys[-1], "target": "in/more/{barename}.mp4"}]
    task = batch(sources=sources, target="out/{barename}.mp4" if listed else "in/more/{barename}.mp4")
    task.deferrable = deferrable
    with pytest.raises(ProcessError, match=r"oss://media/in/more/.*would start this DAG again") as caught:
        run_to_end(task, started_by(new_context(), prefix="in/"))
    assert str(caught.value).count("would start") == 1
    assert stand.accepted() == []
    assert (
        run_to_end(task, started_by(new_context(max_tries=5), prefix="in/", suffix=".mov"))["succeeded"] == 30
    )


def test_what_would_start_the_dag_again_may_be_a_warning(stand: Any, new_context: Any, caplog: Any) -> None:
    put_many(stand, 3)
    task = batch(target="in/more/{barename}.mp4", if_target_triggers="warn")
    summary = task.execute(started_by(new_context(), prefix="in/"))
    assert summary["succeeded"] == 3
    assert caplog.text.count("would start this DAG again") == 1


def test_a_ledger_below_what_is_watched(stand: Any, new_context: Any) -> None:
    put_many(stand, 1)
    context = started_by(new_context(), prefix="in/")
    with pytest.raises(ProcessError, match=r"ledger: oss://media/in/ledgers/\*.jsonl would start"):
        batch(ledger="in/ledgers/").execute(context)
    assert stand.requests("OSS:AppendObject") == 0
    # The default folder is never watched.
    assert batch().execute(context)["succeeded"] == 1


def test_the_completion_of_default_args_is_not_ignored(stand: Any, new_context: Any) -> None:
    put_many(stand, 1)
    with DAG("d", schedule=None, default_args={"completion": "smq"}):
        task = batch()
    with pytest.raises(ProcessError, match="completion='smq' is not allowed: a batch polls all its jobs"):
        task.execute(new_context())
    assert stand.accepted() == []


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_object_of_an_event_may_be_gone(stand: Any, new_context: Any, deferrable: bool) -> None:
    """An event may come twice, and the first run have moved its object."""
    event = {"bucket": "media", "size": 4, "etag": "E", "event": "ObjectCreated:PutObject", "time": ""}
    sources: list[Any] = [
        {"source": f"oss://media/{key}", "key": key, "id": key, **event}
        for key in (*put_many(stand, 2), "in/gone.mov")
    ]
    # The targets may well lie beside the sources.
    task = batch(sources=sources, target="in/{barename}.mp4", deferrable=deferrable)
    summary = run_to_end(task, new_context())
    assert (summary["succeeded"], summary["gone"], summary["set_aside"]) == (2, 1, {})
    # In a list that somebody has written it is an error.
    sources.append("in/also-gone.mov")
    with pytest.raises(OSSBatchFailedError, match="2 of 4 objects failed"):
        run_to_end(batch(sources=sources, deferrable=deferrable), new_context(max_tries=5))
