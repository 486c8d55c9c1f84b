import pytest

from core.errors import UserError
from lab_app.form.pasted import parse

FACT = {"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}


@pytest.mark.parametrize(
    "text",
    [
        "France\tThe capital of {} is\tLyon\tParis",
        "France;The capital of {} is;Lyon;Paris\n\n",
        'France,"The capital of {} is",Lyon,Paris',
        "\ufefftarget,subject,prompt,truth\r\nLyon,France,The capital of {} is,Paris\r\n",
        '[{"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}]',
        '{"items": [{"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}]}',
        '{"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}',
    ],
)
def test_the_ways_of_pasting_one_fact(text):
    assert parse(text) == [FACT]


def test_lines_of_json():
    line = '{"subject": "a", "prompt": "b", "target": "c"}'
    assert len(parse(f"{line}\n\n{line}\n")) == 2


def test_any_script_and_any_emoji():
    assert parse("משה\t{} נולד ב\tרומא 🏛️")[0] == {"subject": "משה", "prompt": "{} נולד ב", "target": "רומא 🏛️"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Nothing pasted"),
        ("one column", "One column only"),
        ("subject,prompt,wish\na,b,c", 'Column "wish"'),
        ("a,b,c,d,e", "Row 1 has 5 cells"),
        ("[1, 2]", "Expected a list of facts"),
        ('{"a": 1}\n{broken', "Line 2 is not JSON"),
        ("[" * 100_000, "The pasted JSON is nested too deeply; paste"),
        ('[{"subject": "a"}, {"target": "b", "target": "c"}]', 'Row 2: "target" is given twice; keep one'),
        ('{"subject": "a"}\n{"target": 1e999}', "Row 2, target: 1e999 is larger than numbers can be"),
        ('[{"target": -Infinity}]', "Row 1, target: -Infinity is no number"),
        ('[{"target": ' + "9" * 5000 + "}]", "Row 1, target: a number of 5,000 digits"),
        ("[{", "not JSON"),
        ("\n".join(["a\tb\tc"] * 100_000), "100,000 rows pasted; a run takes at most 20,000"),
    ],
)
def test_what_cannot_be_read_says_why(text, message):
    with pytest.raises(UserError, match=message):
        parse(text)
