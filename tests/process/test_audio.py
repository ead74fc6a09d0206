from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oss_async.process import (
    AudioConcat,
    AudioConvert,
    ObjectURI,
    ProcessError,
    VideoConvert,
    parse_process,
    read_specification,
)
from airflow_provider_oss_async.process.media import SAMPLE_RATES

SOURCE = ObjectURI("bucket-1", "in/a.wav")
TARGET = ObjectURI("bucket-1", "dest.aac")


def test_convert() -> None:
    spec = AudioConvert(container="aac", start=10, duration=60, audio_bitrate=96_000)
    assert spec.to_process(SOURCE, TARGET, "AudioConvert") == parse_process(
        "audio/convert,f_aac,ss_10000,t_60000,ab_96000|sys/saveas,b_YnVja2V0LTE,o_ZGVzdC5hYWM/notify,"
        "topic_QXVkaW9Db252ZXJ0"
    )


def test_concat() -> None:
    spec = AudioConcat(
        container="aac", channels=1, sample_rate=44_100, audio_bitrate=96_000, align=2,
        before=["src1.mp3", {"object": "oss://bucket-1/src2.mp3", "duration": 0}],
        after=[{"object": "c", "start": 1.5}],
    )  # fmt: skip
    process = spec.to_process(SOURCE, TARGET)
    assert process == parse_process(
        "audio/concat,f_aac,ar_44100,ac_1,ab_96000,align_2/pre,o_c3JjMS5tcDM/pre,o_c3JjMi5tcDM,t_0/sur,o_Yw,ss_1500"
        "|sys/saveas,o_ZGVzdC5hYWM,b_YnVja2V0LTE"
    )
    assert read_specification(process).values["before"] == [
        {"object": "src1.mp3"},
        {"object": "src2.mp3", "duration": 0.0},
    ]


ALLOWED: dict[str, tuple[int, ...]] = {
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (8000, 12000, 16000, 24000, 48000),
    "ac3": (32000, 44100, 48000),
    "amr": (8000, 16000),
    "aac": SAMPLE_RATES,
    "flac": SAMPLE_RATES,
    "oga": SAMPLE_RATES,
}


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize("rate", [*SAMPLE_RATES, 12025, 8001])
def test_sample_rates(name: str, rate: int) -> None:
    for make in (
        lambda: AudioConvert(container=name, sample_rate=rate),
        lambda: AudioConcat(container=name, sample_rate=rate),
        lambda: VideoConvert(container=name, sample_rate=rate),
        lambda: VideoConvert(container="mkv", audio_codec=name, sample_rate=rate),
    ):
        if rate in ALLOWED[name]:
            make()
        else:
            with pytest.raises(
                ProcessError, match=f"sample_rate={rate} is not allowed with {name}: expected one of"
            ):
                make()


@pytest.mark.parametrize(("name", "most"), [("mp3", 2), ("ac3", 6), ("amr", 1), ("aac", 8), ("flac", 8)])
def test_channels(name: str, most: int) -> None:
    AudioConvert(container=name, channels=most)
    with pytest.raises(ProcessError, match=rf"channels={most + 1} is not allowed"):
        AudioConvert(container=name, channels=most + 1)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"container": "flac", "bit_depth": 20}, "bit_depth=20 is not allowed: expected 16 or 24"),
        ({"container": "mp3", "bit_depth": 16}, "bit_depth=16 is only allowed with flac"),
        ({"container": "mp3", "audio_quality": 50, "audio_bitrate": 96_000}, "exclude each other"),
        (
            {"container": "mp3", "audio_bitrate": 320},
            "audio_bitrate=320 is not allowed: expected a whole number from 1000",
        ),
        ({"container": "mp3", "audio_bitrate_if_lower": "fail"}, "has no meaning without audio_bitrate"),
    ],
)
def test_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ProcessError) as caught:
        AudioConvert(**arguments)
    assert problem in str(caught.value)


def test_flac_has_a_bit_depth() -> None:
    for depth in (16, 24, "24"):
        AudioConvert(container="flac", bit_depth=depth)
    VideoConvert(container="mkv", audio_codec="flac", bit_depth=24)


def test_eleven_objects_in_all() -> None:
    ten = [f"{number}.mp3" for number in range(10)]
    assert len(AudioConcat(container="mp3", before=ten).to_process(SOURCE, TARGET).segments) == 10
    with pytest.raises(ProcessError, match="before and after name 11 objects: expected 1 to 10 in all"):
        AudioConcat(container="mp3", before=ten, after=["a"])
    with pytest.raises(ProcessError, match=r"before=.* is not allowed: expected a list of up to 10 objects"):
        AudioConcat(container="mp3", before=[*ten, "a"])


def test_align_counts_the_objects() -> None:
    AudioConcat(container="mp3", before=["a"], after=["b"], align=2)
    with pytest.raises(ProcessError, match="align=3 is not allowed: expected 0 to 2"):
        AudioConcat(container="mp3", before=["a"], after=["b"], align=3)


def test_a_merge_needs_something_to_merge() -> None:
    cases: list[dict[str, Any]] = [{}, {"before": []}, {"before": [], "after": []}]
    for arguments in cases:
        with pytest.raises(ProcessError, match="audio/concat needs at least one object in before or after"):
            AudioConcat(container="mp3", **arguments).to_process(SOURCE, TARGET)


def test_every_problem_of_a_merge_is_named() -> None:
    spec = AudioConcat(container="mp3", before=["oss://bucket-2/a", "{{ x }}", "ok", "/a"])
    with pytest.raises(ProcessError) as caught:
        spec.to_process(SOURCE)
    needs, other, template, slash = caught.value.problems
    assert "needs a target" in needs
    assert other.startswith("before[0]='oss://bucket-2/a' is not in the source's bucket bucket-1")
    assert template.startswith("before[1]='{{ x }}': contains a template")
    assert slash.startswith("before[3]='/a': an object key must not start with /")


def test_none_in_a_clip_is_not_given() -> None:
    clip: Any = {"object": "a", "start": None, "duration": None}
    assert AudioConcat(container="mp3", after=[clip]) == AudioConcat(container="mp3", after=["a"])


def test_a_merge_is_warned_about_the_sources_rate() -> None:
    assert list(AudioConcat(container="mp3", after=["a"], sample_rate=44_100).warnings())
    assert not list(AudioConcat(container="mp3", after=["a"], sample_rate=44_100, channels=2).warnings())
