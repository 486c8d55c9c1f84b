"""What fuzz tests share: input of any kind, files with parts changed, and what a message must never hold.

`make test` tries a few inputs of each, `make fuzz` (the profile "fuzz") ten thousand together.
"""

import copy
import re

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# Words of Python, SQLite, pydantic and other libraries that tell a person nothing.
FOREIGN = re.compile(
    r"Traceback|\b[A-Z]\w*(Error|Exception)\b|<class|NoneType|has no attribute|Exceeds the limit|invalid literal|codec"
    r"|not subscriptable|unhashable|positional argument|unsupported operand|sqlite|SQL|pydantic|_rust|object at 0x"
    r"|list index|too large to convert|internal error|expected str|must be str"
)
LONGEST = 3_000  # characters of a message

NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 10**18, 2**63, -(2**63) - 1, 10**400, float("inf"), float("nan"), 1e308, 1e-308]),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "{}", "{} {}", "Mira", "inf", "1e999", "NaN", "-Infinity", "\ud83d", "\0", "a\nb", "🟢", "9" * 400]
        + ["9" * 5000, "../../etc/passwd", "pocket", "memit", "x" * 3000, "true", "null", "0,5", "last"]
    ),
)
KEYS = st.text(max_size=6) | st.sampled_from(["name", "lane", "round", "tau", "subject", "prompt", "target", "items"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(KEYS, inside, max_size=3),
    max_leaves=6,
)


def inputs(few: int, many: int) -> settings:
    """How many inputs a test tries: `few` in `make test`, `many` in `make fuzz`."""
    fuzz = settings.get_current_profile_name() == "fuzz"
    unhurried = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=many if fuzz else few, deadline=None, suppress_health_check=unhurried)


def clear(message: object) -> None:
    """Asserts that a message is one line for a person."""
    text = str(message)
    assert text.strip()
    assert "\n" not in text
    assert len(text) <= LONGEST
    assert not FOREIGN.search(text), text
    text.encode("utf-8")


def places(value, path=()):
    """The paths of all parts of nested data."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def changed(value, path, part):
    """Nested data with the part at a path replaced."""
    if not path:
        return part
    value = copy.deepcopy(value)
    inside = value
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = part
    return value


@st.composite
def altered(draw, value, parts=ANYTHING, most=2):
    """Nested data of which some parts are replaced, and some objects have a field more."""
    for _ in range(draw(st.integers(1, most))):
        path = draw(st.sampled_from(list(places(value))))
        value = changed(value, path, draw(parts))
    if isinstance(value, dict) and draw(st.booleans()):
        value = {**value, draw(KEYS): draw(parts)}
    return value


@st.composite
def damaged(draw, content: bytes):
    """Bytes of which pieces are left out, said twice, or replaced by others."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        new = draw(st.one_of(st.binary(max_size=8), st.sampled_from([b"", content[start:end] * 2, b'"', b"[" * 9_999])))
        content = content[:start] + new + content[end:]
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 4)) == 0 else content
