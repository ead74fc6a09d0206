from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.local.processing.result import JobFailed, ProducedFile
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import SPECIFICATIONS, ObjectURI, Specification, read_specification
from tests.support.specifications import minimal

if TYPE_CHECKING:
    from pathlib import Path

#: What a job of each kind gets from the samples.
SAMPLES = {"doc": "report.pdf", "video": "credits.mp4", "audio": "announcement.mp3", "image": "photo.png"}
#: What the samples need beside the fewest arguments, or what makes less work.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "video/animation": {"interval": 1, "width": 64},
    "video/snapshots": {"sampling": "avg", "count": 2},
    "video/sprite": {"sampling": "avg", "count": 4, "tile_width": 64, "columns": 2, "rows": 2},
    "video/concat": {"width": 64, "height": 64},
    "image/deblindwatermark": {"strength": "medium"},
}


@pytest.mark.parametrize("kind", SPECIFICATIONS.values(), ids=lambda kind: kind.operation)
def test_every_operation_works_from_its_wire_form(
    kind: type[Specification], samples: dict[str, Path], tmp_path: Path
) -> None:
    name = SAMPLES[kind.operation.partition("/")[0]]
    # The store hands objects out without an extension where their key has none.
    source = tmp_path / "source"
    source.write_bytes(samples[name].read_bytes())
    asked = kind(**(minimal(kind) | ARGUMENTS.get(kind.operation, {})))
    target = ObjectURI("media", "out/{index}") if kind.writes_object else None
    spec = read_specification(asked.to_process(ObjectURI("media", name), target))
    segments = {"clips/first": samples["credits.mp4"]}
    try:
        result = process_job(spec, source, segments, tmp_path / "out", source_name=name)
    except JobFailed as error:
        if "is not an operation" in error.message:
            pytest.fail(
                f"let process_job in local/processing/run.py do the work of {kind.operation}: {error}"
            )
        raise
    assert bool(result.content) is not spec.writes_object
    assert bool(result.files) is spec.writes_object
    for file in result.files:
        assert file.path.stat().st_size
        assert file.path.is_relative_to(tmp_path / "out")


def test_an_unknown_operation_fails_the_job(tmp_path: Path) -> None:
    class Other(Specification):
        operation = "video/other"
        parameters = SPECIFICATIONS["video/snapshots"].parameters

    del SPECIFICATIONS["video/other"]
    with pytest.raises(JobFailed) as caught:
        process_job(Other(format="jpg"), tmp_path / "x", {}, tmp_path)
    assert "video/other" in caught.value.message


def test_a_failure_says_code_and_message() -> None:
    assert str(JobFailed("InvalidArgument", "no")) == "InvalidArgument: no"


def test_what_index_stands_for(tmp_path: Path) -> None:
    assert ProducedFile(tmp_path, 3).index_text == "3"
    assert ProducedFile(tmp_path, 6, part=12, sheet="x").index_text == "6_12"
