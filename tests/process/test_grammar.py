from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_oss_async.process import (
    SPECIFICATIONS,
    Process,
    ProcessError,
    SaveAs,
    Segment,
    parse_process,
    read_specification,
)

from .strategies import FRAGMENTS, any_text, fragments, raw_text
from .test_process_strings import VALID


def names() -> st.SearchStrategy[str]:
    return st.text(min_size=1, max_size=20)


@st.composite
def processes(draw: st.DrawFn) -> Process:
    """Any instruction the grammar can carry, whether or not it makes sense."""
    keys = st.from_regex(r"\A[A-Za-z][A-Za-z0-9]{0,5}\Z")
    operation = draw(
        st.sampled_from(sorted(SPECIFICATIONS)) | st.sampled_from(["style/pre", "style/::a-b.c_d"])
    )
    params: tuple[tuple[str, str], ...] = ()
    segments: list[Segment] = []
    if not operation.startswith("style/"):
        params = tuple(draw(st.dictionaries(keys, raw_text(), max_size=4)).items())
        if draw(st.booleans()):
            params = (*((k, v) for k, v in params if k != "pages"), ("pages", draw(names())))
    if operation in SPECIFICATIONS and SPECIFICATIONS[operation].segment_fields:
        cuts = st.dictionaries(keys.filter(lambda key: key != "o"), raw_text(), max_size=2)
        kinds: list[Any] = draw(st.lists(st.sampled_from(["pre", "sur"]), max_size=3))
        segments = [Segment(kind, draw(names()), tuple(draw(cuts).items())) for kind in kinds]
    saveas = draw(st.none() | st.builds(SaveAs, names(), st.none() | names(), st.booleans()))
    return Process(operation, params, tuple(segments), saveas, draw(st.just("") | names()))


@given(processes())
def test_round_trip(process: Process) -> None:
    text = process.encode()
    assert parse_process(text) == process
    assert parse_process(text).encode() == text


@given(processes())
def test_separators_are_only_the_grammars(process: Process) -> None:
    text = process.encode()
    head, _, tail = text.partition("|")
    items = (process.saveas is not None) + bool(process.topic)
    assert text.count("|") == bool(items)
    assert tail.count("/") == items
    assert head.count("/") == 1 + len(process.segments)
    assert head.count(",") == len(process.params) + sum(1 + len(s.params) for s in process.segments)
    assert text.isascii()
    assert "=" not in text


@given(any_text())
@example("")
@example("|")
@example("video/convert|sys/")
@example("video/concat/pre")
@example("video/concat/pre\n")
@example("video/concat/pre,ss_1")
@example("style/")
@example("style/:::a")
@example("\ud800")
@example("video/convert,f_\ud800")
@example("video/convert|sys/saveas,o_\ud800")
@example("video/convert|sys/saveas,o_é")
@example("video/convert|sys/saveas,o_====")
@example("video/convert|sys/saveas,o_A")
@example("video/convert|sys/saveas,o__w")
@example("video/convert,f_mp4,ss_" + "9" * 5000)
@example("video/concat,f_mp4,vcodec_h264,acodec_aac/pre,o_YQ,ss_" + "9" * 400)
@example("video/concat,f_mp4,vcodec_h264,acodec_aac,pre_YQ")
@example("video/convert,f_mp4,s_x")
@example("video/convert,f_mp4,s_1x2x3")
def test_any_text(text: str) -> None:
    parse_and_read(text)


@given(st.sampled_from(VALID), st.data())
def test_valid_text_with_something_put_in(line: dict[str, str], data: st.DataObject) -> None:
    text = line["process"]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 5)))
        text = text[:start] + data.draw(fragments() | st.sampled_from(FRAGMENTS)) + text[end:]
    parse_and_read(text)


def parse_and_read(text: str) -> None:
    try:
        process = parse_process(text)
    except ProcessError as error:
        str(error).encode()  # no half of a surrogate pair that a log could not write
        return
    assert parse_process(process.encode()) == process
    try:
        spec = read_specification(process)
    except ProcessError as error:
        str(error).encode()
        return
    known = dict(spec.wire_params())
    assert dict(process.params).keys() <= known.keys()
    assert len(process.segments) == sum(len(spec.get(name, ())) for name, _ in spec.segment_fields)


@pytest.mark.parametrize("value", [None, b"video/convert,f_mp4", 5, "", ["video/convert"]])
def test_not_a_text(value: object) -> None:
    with pytest.raises(ProcessError, match=r"^the process string is (empty|.*: expected text)"):
        parse_process(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image/resize,w_100", "image/resize cannot run asynchronously"),
        ("video/snapshot,t_1", "Did you mean video/snapshots?"),
        ("doc/preview", "doc/preview cannot run asynchronously"),
        ("hls/m3u8", "hls/m3u8 cannot run asynchronously"),
        ("zip/compress", "'zip/compress' is not an operation; the asynchronous ones are audio/concat, "),
        ("video/convert\n", r"'video/convert\n' is not an operation"),
        ("video/convert,f_mp4|sys/saveas,o_YQ|sys/notify,topic_YQ", "at most one |"),
        ("video/convert,f_mp4|video/snapshots,f_jpg", "after | comes sys/saveas or sys/notify"),
        ("video/convert,f_mp4|", "after | comes sys/saveas or sys/notify"),
        ("video/convert,f_mp4|sys", "after | comes sys/saveas or sys/notify"),
        ("video/convert,f_mp4|sys/", "each at most once; '' is neither"),
        ("video/convert,f_mp4|sys/notify", "notify takes topic_"),
        ("video/convert,f_mp4|sys/saveas,o_YQ/notify", "notify takes topic_"),
        ("video/convert,f_mp4|sys/notify,topic_YQ/saveas,o_YQ", "saveas, then notify"),
        ("video/convert,f_mp4|sys/saveas,o_YQ/saveas,o_YQ", "each at most once"),
        ("video/convert,f_mp4|sys/saveas,o_YQ/sys/notify,topic_YQ", "the value is not base64"),
        ("video/convert,f_mp4|sys/saveas,o_YQ,o_YQ", "names a key twice"),
        ("video/convert,f_mp4|sys/saveas,b_YQ", "o_ (the target key, required)"),
        ("video/convert,f_mp4|sys/saveas,o_YQ,acl_private", "sys/saveas takes o_"),
        ("video/convert,f_mp4|sys/saveas,o_Y Q", "'o_Y Q': the value is not base64 of UTF-8 text"),
        ("video/convert,f_mp4|sys/saveas,o__w", "'o__w': the value is not base64 of UTF-8 text"),
        ("video/convert,f_mp4|sys/saveas,o_=", "the key of saveas is empty"),
        ("video/convert,f_mp4,f_mkv", "the parameter f is given twice"),
        ("video/convert,f", "'f' is not a parameter; one is written key_value"),
        ("video/convert,f_", "'f_' is not a parameter"),
        ("video/convert,_mp4", "'_mp4' is not a parameter"),
        ("video/convert,", "'' is not a parameter"),
        ("video/convert,f-x_mp4", "'f-x' is not a parameter key"),
        ("video/convert,f_mp4 ", "'f_mp4 ' is not allowed: a value is printable ASCII without white space"),
        ("video/convert,f_mp4\n", r"'f_mp4\n' is not allowed"),
        ("video/convert,f_mp4/pre,o_YQ", "video/convert takes no /pre or /sur segments"),
        ("video/convert,f_mp4/snapshots,f_jpg", "is not allowed: a value is"),
        ("video/concat,f_mp4/pre", "the segment /pre must name one object"),
        ("video/concat,f_mp4/pre,o_YQ,o_YQ", "the segment /pre must name one object"),
        ("video/concat,f_mp4/pre,o_YQ,ss_1,ss_2", "the parameter ss is given twice"),
        ("style", "a style is written style/NAME"),
        ("style/", "a style is written style/NAME"),
        ("style/a b", "a style is written style/NAME"),
        ("style/a/b", "a style is written style/NAME"),
        ("style/a:b", "a style is written style/NAME"),
        ("style/样式", "letters, digits, underscores, hyphens and periods"),
        (f"style/{'x' * 64}", "1 to 63"),
        ("style/a,f_mp4", "a style takes no parameters"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ProcessError) as caught:
        parse_process(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize("operation", sorted(SPECIFICATIONS))
def test_every_asynchronous_operation(operation: str) -> None:
    assert parse_process(operation) == Process(operation)


@pytest.mark.parametrize("name", ["pre", "sur", "::h264-mp4-1080p", "a.b_c-D9", "x" * 63])
def test_styles(name: str) -> None:
    process = parse_process(f"style/{name}|sys/saveas,o_YQ")
    assert (process.operation, process.is_style, process.saveas) == (f"style/{name}", True, SaveAs("a"))


@pytest.mark.parametrize(
    "name", ["ÿÿÿ", "目录/影片 ü🎬.mp4", "{dirname}/{index}.png", "a", "?" * 9, "~" * 8, "\0|,/"]
)
@pytest.mark.parametrize("form", ["standard", "standard padded", "url-safe", "url-safe padded"])
def test_names_in_every_base64(name: str, form: str) -> None:
    encode = base64.b64encode if form.startswith("standard") else base64.urlsafe_b64encode
    b64 = encode(name.encode()).decode()
    if not form.endswith("padded"):
        b64 = b64.rstrip("=")
    text = f"video/concat,f_mp4/pre,o_{b64},t_0|sys/saveas,b_{b64},o_{b64}/notify,topic_{b64}"
    process = parse_process(text)
    assert process == Process(
        "video/concat", (("f", "mp4"),), (Segment("pre", name, (("t", "0"),)),), SaveAs(name, name), name
    )
    safe = base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")
    assert process.encode() == text.replace(b64, safe)


def test_order_is_kept() -> None:
    for text in (
        "video/convert,vb_1,f_mp4,a_2|sys/saveas,b_Yg,o_YQ",
        "video/convert,f_mp4|sys/saveas,o_YQ,b_Yg/notify,topic_dA",
        "video/concat,f_mp4/sur,o_YQ/pre,o_Yg,t_1,ss_2/sur,o_Yw",
    ):
        assert parse_process(text).encode() == text


def test_a_value_may_hold_an_underscore() -> None:
    assert parse_process("video/convert,f__mp4_").params == (("f", "_mp4_"),)


def test_pages_are_decoded() -> None:
    assert parse_process("doc/convert,pages_MSwyLDQtMTA").param("pages") == "1,2,4-10"


@pytest.mark.parametrize("char", [*map(chr, range(0x21)), *",/|=&%+{}\x7f\x85\xa0é٣\u200b\u2028\ud800🎬"])
def test_raw_values_refuse(char: str) -> None:
    for value in (char, f"a{char}", f"{char}a"):
        with pytest.raises(ProcessError):
            Process("video/convert", (("f", value),))


@given(raw_text())
def test_raw_values_take_the_rest(value: str) -> None:
    assert parse_process(f"video/convert,x_{value}").param("x") == value


@pytest.mark.parametrize(
    "make",
    [
        lambda: Process("video/convert", (("f", ""),)),
        lambda: Process("video/convert", (("f", 4),)),  # type: ignore[arg-type]
        lambda: Process("video/convert", ((4, "f"),)),  # type: ignore[arg-type]
        lambda: Process("doc/convert", (("pages", "\ud800"),)),
        lambda: Process("video/convert", topic="\ud800"),
        lambda: Process("image/resize"),
        lambda: Process("style/a", (("f", "mp4"),)),
        lambda: Process("video/convert", segments=(Segment("pre", "a"),)),
        lambda: Segment("mid", "a"),  # type: ignore[arg-type]
        lambda: Segment("pre", ""),
        lambda: Segment("pre", "a", (("o", "YQ"),)),
        lambda: SaveAs(""),
        lambda: SaveAs("a", ""),
        lambda: SaveAs("\udfff"),
        lambda: SaveAs(b"a"),  # type: ignore[arg-type]
    ],
)
def test_no_invalid_value_can_be_made(make: object) -> None:
    with pytest.raises(ProcessError):
        make()  # type: ignore[operator]
