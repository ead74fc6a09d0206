"""The documented keys and ranges in wire form: written down again from the pages, not from the code."""

from __future__ import annotations

import pytest

from airflow_provider_oss_async.process import SPECIFICATIONS, ProcessError, parse_process, read_specification

FILE = "tests/process/test_documented_ranges.py"
#: Lowest and highest whole number, or the only values; ``None`` where no range is documented.
Range = tuple[int, int] | list[int] | None
FLAG: Range = [0, 1]
IF_LOWER: Range = [0, 1, 2]
TIME: Range = None
TEXT: Range = None
CLIP: dict[str, Range] = {"ss": TIME, "t": TIME}
AUDIO: dict[str, Range] = {
    "ar": [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000],
    "ac": (1, 8),
    "aq": (0, 100),
    "ab": (1000, 10_000_000),
    "abopt": IF_LOWER,
    "adepth": [16, 24],
}
VIDEO: dict[str, Range] = {
    "fps": (1, 240), "fpsopt": IF_LOWER, "pixfmt": TEXT, "s": None, "sopt": IF_LOWER, "scaletype": TEXT,
    "arotate": FLAG, "g": (1, 100_000), "vb": (10_000, 100_000_000), "vbopt": IF_LOWER, "crf": (0, 51),
    "maxrate": (10_000, 100_000_000), "bufsize": (10_000, 200_000_000), "an": FLAG, "sn": FLAG,
    "vcodec": TEXT, "acodec": TEXT,
}  # fmt: skip
FRAMES: dict[str, Range] = {
    "f": TEXT, "ss": TIME, "m": TEXT, "thr": (0, 100), "num": None, "inter": TIME, "scaletype": TEXT,
}  # fmt: skip
DOCUMENTED: dict[str, dict[str, Range]] = {
    "doc/convert": {"target": TEXT, "source": TEXT, "pages": TEXT},
    "video/convert": {"f": TEXT, **CLIP, "vn": FLAG, **VIDEO, **AUDIO, "videoslim": FLAG},
    "video/concat": {"f": TEXT, **CLIP, **VIDEO, **AUDIO, "align": (0, 10), "pre": None, "sur": None},
    "video/animation": {
        "f": TEXT, "ss": TIME, "num": None, "inter": TIME, "fps": (1, 240), "w": (32, 4096), "h": (32, 4096),
        "scaletype": TEXT,
    },
    "video/snapshots": {**FRAMES, "w": (32, 4096), "h": (32, 4096), "pw": (1, 200), "ph": (1, 200)},
    "video/sprite": {
        **FRAMES, "sw": (32, 4096), "sh": (32, 4096), "psw": (1, 200), "psh": (1, 200), "tw": (1, 100),
        "th": (1, 100), "pad": (0, 100), "margin": (0, 100),
    },
    "audio/convert": {"f": TEXT, **CLIP, **AUDIO},
    "audio/concat": {"f": TEXT, **CLIP, **AUDIO, "align": (0, 10), "pre": None, "sur": None},
    "image/deblindwatermark": {"s": TEXT, "t": TEXT},
}  # fmt: skip
REQUIRED = {
    "doc/convert": {"target": "pdf"},
    "video/convert": {"f": "mkv"},
    "video/concat": {"f": "mkv", "vcodec": "h264", "acodec": "flac"},
    "video/animation": {"f": "gif"},
    "video/snapshots": {"f": "jpg"},
    "video/sprite": {"f": "jpg"},
    "audio/convert": {"f": "flac"},
    "audio/concat": {"f": "flac"},
    "image/deblindwatermark": {},
}
#: What a key has no meaning without.
COMPANIONS = {
    "fpsopt": {"fps": "25"}, "sopt": {"s": "640x"}, "scaletype": {"s": "640x"}, "arotate": {"s": "640x"},
    "vbopt": {"vb": "100000"}, "maxrate": {"crf": "23", "bufsize": "10000"}, "bufsize": {"crf": "23"},
    "abopt": {"ab": "96000"}, "thr": {"m": "dhash"}, "videoslim": {"vcodec": "h264"},
    "adepth": {"acodec": "flac"},
}  # fmt: skip
CASES = [
    (operation, key, limits)
    for operation, keys in DOCUMENTED.items()
    for key, limits in keys.items()
    if limits is not None
]


def read(operation: str, key: str, value: int) -> None:
    companions = {k: v for k, v in COMPANIONS.get(key, {}).items() if k in DOCUMENTED[operation]}
    params = REQUIRED[operation] | companions | {key: str(value)}
    # Small or few tiles, so that the sheet is not in question; eleven objects, so that align has its range.
    sheet = {"sw": "32", "sh": "32"} if key in ("tw", "th", "pad", "margin") else {}
    sheet |= {"tw": "1", "th": "1"} if key in ("sw", "sh") else {}
    others = "/pre,o_YQ" * 10 if key == "align" else ""
    text = ",".join([operation, *(f"{k}_{v}" for k, v in (params | sheet).items())])
    read_specification(parse_process(text + others))


@pytest.mark.parametrize("operation", DOCUMENTED)
def test_every_documented_key_has_an_argument(operation: str) -> None:
    assert operation in SPECIFICATIONS, f"no specification in process/ has operation = {operation!r}"
    keys = SPECIFICATIONS[operation].wire_keys()
    documented = DOCUMENTED[operation].keys()
    missing, unknown = sorted(documented - keys), sorted(keys - documented)
    assert not missing, f"the specification of {operation} has no argument for the documented {missing}"
    assert not unknown, f"write the range of {unknown} of {operation} down in DOCUMENTED in {FILE}"
    required = {field.param.key for field in SPECIFICATIONS[operation].fields() if field.required}
    assert operation in REQUIRED, f"write the required keys of {operation} down in REQUIRED in {FILE}"
    assert required == REQUIRED[operation].keys(), (
        f"the specification of {operation} and REQUIRED in {FILE} differ in what is required"
    )


@pytest.mark.parametrize("operation", SPECIFICATIONS)
def test_every_operation_is_written_down(operation: str) -> None:
    for name, table in (("DOCUMENTED", DOCUMENTED), ("REQUIRED", REQUIRED)):
        assert operation in table, (
            f"{operation} is not in {name} in {FILE}: write it down there from its page, "
            f"{SPECIFICATIONS[operation].page}, and not from the code"
        )


@pytest.mark.parametrize(("operation", "key", "limits"), CASES, ids=[f"{o}-{k}" for o, k, _ in CASES])
def test_ranges(operation: str, key: str, limits: Range) -> None:
    assert limits is not None
    for value in limits:
        read(operation, key, value)
    for value in (min(limits) - 1, max(limits) + 1):
        with pytest.raises(ProcessError, match=rf"is not allowed|{key}_-1"):
            read(operation, key, value)


@pytest.mark.parametrize("operation", ["video/convert", "video/concat"])
def test_sizes(operation: str) -> None:
    required = ",".join(f"{key}_{value}" for key, value in REQUIRED[operation].items())
    for size in ("64x64", "4096x4096", "64x", "x4096", "1920x1080"):
        read_specification(parse_process(f"{operation},{required},s_{size}"))
    for size in ("62x64", "64x4098", "65x64", "x65", "0x", "-64x"):
        with pytest.raises(ProcessError, match="is not allowed"):
            read_specification(parse_process(f"{operation},{required},s_{size}"))
