"""JSON that Python would read in part, or as something else, is told with its place."""

import math

import pytest

from core.json_text import JsonError, Parsed, loads, unfit


def test_what_is_json_is_read():
    assert loads('{"a": [1, 2.5, null, true, "x"], "b": {"a": 1}}') == {"a": [1, 2.5, None, True, "x"], "b": {"a": 1}}
    assert loads("9" * 2000) == 10**2000 - 1
    assert math.isnan(loads("[NaN]", nan=True)[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": 2, "a": 3}', '"a" is given twice; keep one'),
        ('{"lanes": [{}, {"tau": {"x": 1, "x": 1}}]}', 'lanes[1].tau: "x" is given twice; keep one'),
        ('{"a": {"b": 1e999}}', 'a.b: 1e999 is larger than numbers can be; give a smaller one, or text in "quotes"'),
        ("[1, -Infinity]", "[1]: -Infinity is no number in JSON; give a finite one"),
        ("NaN", "NaN is no number in JSON"),
        ('{"a": ' + "7" * 5000 + "}", "a: a number of 5,000 digits; give a shorter one"),
        ('{"a": 1.' + "7" * 5000 + "}", "a: 1.7777777777777777777777… is larger"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ("{", "not JSON ("),
    ],
)
def test_what_must_not_be_in_it_is_told_with_its_place(text, message):
    with pytest.raises(JsonError) as caught:
        loads(text)
    assert message in str(caught.value)
    assert caught.value.broken == (text == "{")


def test_what_stands_around_it_can_still_be_had():
    parsed = Parsed('[{"a": 1}, {"a": 1, "a": 2}, {"b": [Infinity]}]')
    assert parsed.flawed
    assert parsed.value[0] == {"a": 1}
    assert [unfit(row) is None for row in parsed.value] == [True, False, False]
    assert unfit(parsed.value[2])[0] == ("b", 0)
