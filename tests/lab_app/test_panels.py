"""The markup of panels, and the model's own words beside them; what panels draw is tested in tests/panels."""

import pytest

from core.charts.formula import formula, frac
from core.panels import panels
from lab_app.handlers.words import LONGEST, words
from lab_app.markup.widgets import frame


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel.key)
def test_each_panel_explains_itself_and_survives_templates(panel):
    text = frame(panel)
    assert "<math" in text
    assert panel.protocol in text
    assert "${" not in text  # the front end would fill it in
    assert "{{" not in text


def test_words_are_plain_and_bounded():
    said = [{"fact": 1, "prompt": "<b>p</b>", "target": "t", "before": "x" * 9_999, "after": "", "said": True}] * 40
    row = words({"lane": "a", "round": 1, "words": said})
    assert len(row["words"]) == 12
    assert row["words"][0]["prompt"] == "<b>p</b>"
    assert len(row["words"][0]["before"]) == LONGEST
    assert words({"lane": "a", "round": 1, "words": []}) is None


def test_formulas_escape_their_symbols():
    assert formula("a", "<", frac("1", "n")).count("<mo>") == 0  # "<" begins markup, nothing else does
    assert "<mi>a&amp;b</mi>" in formula("a&b")
