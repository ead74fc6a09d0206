from __future__ import annotations

import pytest

from airflow_provider_oss_async.process import (
    DecodeBlindWatermark,
    ObjectURI,
    ProcessError,
    parse_process,
    read_specification,
)

SOURCE = ObjectURI("bucket-1", "a.png")


def test_documented_example() -> None:
    text = "image/deblindwatermark,s_low,t_text|sys/notify,topic_aW1tLWJsaW5kd2F0ZXJtYXJrLXRlc3Q"
    assert DecodeBlindWatermark().to_process(SOURCE, topic="imm-blindwatermark-test").encode() == text
    assert read_specification(parse_process(text)) == DecodeBlindWatermark(
        strength="low", watermark_type="text"
    )


def test_without_a_topic() -> None:
    assert (
        DecodeBlindWatermark(strength="high").to_process(SOURCE).encode()
        == "image/deblindwatermark,s_high,t_text"
    )


def test_both_arguments_are_always_sent() -> None:
    assert DecodeBlindWatermark(strength=None).wire_params() == (("s", "low"), ("t", "text"))
    assert read_specification(parse_process("image/deblindwatermark")) == DecodeBlindWatermark()


def test_no_target() -> None:
    with pytest.raises(ProcessError, match="image/deblindwatermark writes no object, so it takes no target"):
        DecodeBlindWatermark().to_process(SOURCE, ObjectURI("bucket-1", "b.txt"))


def test_unknown_strength_is_passed_on() -> None:
    spec = DecodeBlindWatermark(strength="middle")
    (warning,) = spec.warnings()
    assert "strength='middle'" in warning
    assert dict(spec.wire_params())["s"] == "middle"
