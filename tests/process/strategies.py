"""Values made from the fields' own constraints, so that a new field is covered by itself."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from annotated_types import MultipleOf
from hypothesis import strategies as st

from airflow_provider_oss_async.process import SPECIFICATIONS, ObjectURI, ProcessError, Specification
from airflow_provider_oss_async.process.grammar import RAW
from airflow_provider_oss_async.process.media import SAMPLE_RATES
from tests.support.specifications import interval, minimal, step

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.field import Field

SPECS = list(SPECIFICATIONS.values())
FIELDS = [(spec, field) for spec in SPECS for field in spec.fields()]
SOURCE = ObjectURI("source-bucket", "in/source.bin")
TARGET = ObjectURI("target-bucket", "out/{index}.{autoext}")
#: Values that are only in range together with others, or only a few of their range.
NARROWER = {"sample_rate": st.sampled_from(SAMPLE_RATES), "bit_depth": st.sampled_from((16, 24))}
#: Pieces of the language, base64, odd characters and templates: what might become more than a value.
FRAGMENTS = [
    ",", "/", "|", "_", "=", "+", "-", "&", "%7C", "{", "}", "{{ x }}", "{index}", " ", "\n", "\0", "\x7f",
    "\u2028", "\u200b", "\ud800", "\udfff", "é", "🎬", "٣", "sys", "sys/", "saveas", "notify", "topic_",
    "pre", "sur", "/pre,", "/sur,o_YQ", "|sys/saveas,o_YQ", "/notify,topic_YQ", ",t_0", "o_", "b_", "o_YQ==",
    "o_-_8", "o_+/8=", "o_/pre", "YQ", "video/convert", "video/concat", "doc/convert", "image/resize",
    "style/", "style/::", "::", "f_mp4", "s_64x64", "ss_1", "pages_MQ", "vcodec_h264", "acodec_aac",
    "target_pdf", "1e400", "-1", "9" * 400, "a",
]  # fmt: skip


def raw_text() -> st.SearchStrategy[str]:
    return st.from_regex(re.compile(rf"\A{RAW}\Z"))


def object_keys() -> st.SearchStrategy[str]:
    def usable(key: str) -> bool:
        try:
            ObjectURI.parse(key, default_bucket="bucket")
        except ProcessError:
            return False
        return not key.startswith("oss://")

    return st.text(min_size=1, max_size=20).map(lambda text: f"clips/{text}").filter(usable)


def milliseconds() -> st.SearchStrategy[float]:
    return st.integers(0, 10**12).map(lambda number: number / 1000)


def clips() -> st.SearchStrategy[list[dict[str, Any]]]:
    clip = st.fixed_dictionaries(
        {"object": object_keys()}, optional={"start": milliseconds(), "duration": milliseconds()}
    )
    return st.lists(clip, min_size=1, max_size=3)


def values(field: Field) -> st.SearchStrategy[Any]:
    """Values a field takes by itself; whether they go together is another matter."""
    if field.name in NARROWER:
        return NARROWER[field.name]
    if field.param.choices:
        return st.sampled_from([name for name, _ in field.param.choices])
    if field.is_time:
        return milliseconds()
    limits = interval(field)
    if field.kind is int:
        assert limits is not None
        size = step(field)
        return st.integers(-(-limits.ge // size), limits.le // size).map(lambda number: number * size)
    if field.kind is float:
        assert limits is not None
        low = limits.ge if limits.gt is None else limits.gt
        return st.floats(low, limits.le, exclude_min=limits.gt is not None)
    if field.kind is bool:
        return st.booleans()
    if field.kind is list:
        return clips()
    if field.name == "pages":
        return st.lists(st.integers(1, 999_999).map(str), min_size=1).map(",".join)
    if not field.param.known:
        return raw_text()
    known = st.sampled_from(field.param.known)
    return known if field.required else known | raw_text()


def wrong_values(field: Field) -> list[Any]:
    """Values that a field must refuse: out of range, odd, of a wrong type, empty, an unrendered template."""
    wrong = [
        "",
        " ",
        "{{ x }}",
        "{{x}}",
        "{% x %}",
        b"1",
        bytearray(b"1"),
        [],
        {},
        [1],
        object(),
        "\ud800",
        "1\0",
    ]
    if field.kind is list:
        wrong.remove([])
        wrong += [5, "a", {"object": "a"}, [{}], [{"object": ""}], [{"start": 1}], [{"object": 1}], {"a"}]
        wrong += [["a"] * 11, [{"object": "a", "start": -1}], [{"object": "a", "t": 1}], [{"object": b"a"}]]
        return wrong
    if field.kind is not bool:
        wrong += [True, False]
    limits = interval(field)
    if limits is not None:
        low = limits.ge - 1 if limits.gt is None else limits.gt
        wrong += [low, limits.le + 1, str(low), str(limits.le + 1), -(10**30), 10**30, 10**5000, "9" * 5000]
        wrong += ["NaN", "inf", float("inf"), float("nan"), "1e400", "٣", "0x40", "x", "1,5"]
        if any(isinstance(c, MultipleOf) for c in field.constraints):
            wrong += [limits.ge + 1, str(limits.ge + 1)]
        if field.kind is int:
            wrong += [limits.ge + 0.5, str(limits.ge + 0.5), "1e1", timedelta(seconds=100)]
        if field.is_time:
            wrong += [0.0004, "0.0004", timedelta(seconds=-1), timedelta.max]
    elif field.kind is bool:
        wrong += [2, -1, "2", "maybe", 0.5]
    elif field.param.choices:
        wrong += [3, "3", "other", 0.5]
    elif field.name == "pages":
        wrong.remove([1])
        wrong += [[0], [1, None], (1.5,), {1}, ["1,"], [1, -3], "1," * 6000]
        wrong += [0, -1, 10**6, "0", "1-", "-1", "1,", "1, 2", "1;2", "1\n", "٣", "3-1", "1.5"]
    else:
        wrong += [
            5,
            0.5,
            "a,b",
            "a/b",
            "a|b",
            "a=b",
            "a&b",
            "a%b",
            "a+b",
            "a b",
            "mp4\n",
            "\tmp4",
            "é",
            "a\x7f",
        ]
    return wrong


@st.composite
def specifications(draw: st.DrawFn) -> Specification:
    """Any specification: random arguments, less those that an error names until the rest go together."""
    spec = draw(st.sampled_from(SPECS))
    required = minimal(spec)
    arguments = required | {f.name: draw(values(f)) for f in spec.fields() if f.required}
    optional = [f for f in spec.fields() if not f.required and f.name not in required]
    # The width of needs and excludes: a field often comes with the one that it needs.
    for field in draw(st.lists(st.sampled_from(optional), unique=True, max_size=8)) if optional else []:
        arguments[field.name] = draw(values(field))
        for needed in field.param.needs[:1]:
            if needed not in arguments:
                arguments[needed] = draw(values(next(f for f in spec.fields() if f.name == needed)))
    keys = st.from_regex(re.compile(r"\A[A-Za-z][A-Za-z0-9]{0,5}\Z")).filter(
        lambda key: key not in spec.wire_keys()
    )
    extra = draw(st.dictionaries(keys, raw_text(), max_size=2))
    while True:
        try:
            return spec(extra_params=extra, **arguments)
        except ProcessError as error:
            named = [n for n in arguments if n not in required and re.search(rf"\b{n}\b", str(error))]
            if not named:
                named = [n for n in arguments if arguments[n] != required.get(n)]
            name = draw(st.sampled_from(named))
            if name in required:
                arguments[name] = required[name]
            else:
                del arguments[name]


def fragments() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)


def any_text() -> st.SearchStrategy[str]:
    return fragments() | st.text(st.characters()) | st.text(st.characters(max_codepoint=0x7F))
