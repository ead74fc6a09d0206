from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_oss_async.local.processing.result import JobFailed, ProducedFile
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import (
    SPECIFICATIONS,
    Specification,
    parse_process,
    read_specification,
)

if TYPE_CHECKING:
    from pathlib import Path

#: One instruction for every operation, with its source among the samples.
INSTRUCTIONS = {
    "doc/convert": ("doc/convert,target_png", "report.pdf"),
    "video/convert": ("video/convert,f_mkv", "credits.mp4"),
    "video/animation": ("video/animation,f_gif,inter_1000,w_64", "credits.mp4"),
    "video/snapshots": ("video/snapshots,f_jpg,m_avg,num_2", "credits.mp4"),
    "video/sprite": ("video/sprite,f_jpg,m_avg,num_4,sw_64,tw_2,th_2", "credits.mp4"),
    "video/concat": ("video/concat,f_mp4,vcodec_h264,acodec_aac,s_64x64/pre,o_bW9yZQ", "credits.mp4"),
    "audio/convert": ("audio/convert,f_mp3", "announcement.mp3"),
    "audio/concat": ("audio/concat,f_mp3/sur,o_bW9yZQ,t_1000", "announcement.mp3"),
    "image/deblindwatermark": ("image/deblindwatermark,s_medium,t_text", "photo.png"),
}


def test_every_operation_is_tried() -> None:
    assert INSTRUCTIONS.keys() == SPECIFICATIONS.keys()


@pytest.mark.parametrize("operation", INSTRUCTIONS)
def test_every_operation_works_from_its_wire_form(
    operation: str, samples: dict[str, Path], tmp_path: Path
) -> None:
    text, name = INSTRUCTIONS[operation]
    # The store hands objects out without an extension where their key has none.
    source = tmp_path / "source"
    source.write_bytes(samples[name].read_bytes())
    spec = read_specification(parse_process(text))
    result = process_job(spec, source, {"more": samples["credits.mp4"]}, tmp_path / "out", source_name=name)
    assert bool(result.content) is not spec.writes_object
    assert bool(result.files) is spec.writes_object
    for file in result.files:
        assert file.path.stat().st_size
        assert file.path.is_relative_to(tmp_path / "out")


def test_an_unknown_operation_fails_the_job(tmp_path: Path) -> None:
    class Other(Specification):
        operation = "video/other"
        parameters = SPECIFICATIONS["video/snapshots"].parameters

    with pytest.raises(JobFailed) as caught:
        process_job(Other(format="jpg"), tmp_path / "x", {}, tmp_path)
    assert "video/other" in caught.value.message


def test_a_failure_says_code_and_message() -> None:
    assert str(JobFailed("InvalidArgument", "no")) == "InvalidArgument: no"


def test_what_index_stands_for(tmp_path: Path) -> None:
    assert ProducedFile(tmp_path, 3).index_text == "3"
    assert ProducedFile(tmp_path, 6, part=12, sheet="x").index_text == "6_12"
