"""Bad input at the command line: one clear line that says what is wrong, where, and what to do; exit status 2."""

import json

import pytest

from core.__main__ import main

FACT = {"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}
SPEC = {"facts": {"items": [FACT]}, "lanes": [{"method": "memit"}], "round_size": 1}


def spec(**changes):
    return {**SPEC, **changes}


def guarded(tau):
    return spec(lanes=[{"method": "memit", "guards": [{"name": "revive", "tau": tau}]}])


def typed(**changes):
    return spec(facts={"items": [{**FACT, **changes}]})


TABLE = {
    "an empty table": (spec(facts={"items": []}), ["facts.items", "no facts"]),
    "a prompt without its subject": (typed(prompt="The capital is"), ["facts.items[0].prompt", "France", "{}"]),
    "an empty target": (typed(target=" "), ["facts.items[0].target", "empty"]),
    "a target that is the old object": (typed(target="Paris"), ["facts.items[0].target", "nothing to edit"]),
    "an unknown model": (spec(model="no/such/model"), ["no/such/model", "folder"]),
    "a folder that is not a model": (spec(model="{folder}"), ["config.json", "save_pretrained"]),
    "a tau of zero": (guarded(0), ["lanes[0].guards[0].tau", "0"]),
    "a tau of one": (guarded(1), ["lanes[0].guards[0].tau", "1"]),
    "a tau above one": (guarded(1.5), ["lanes[0].guards[0].tau", "1.5"]),
    "a tau that is text": (guarded("high"), ["lanes[0].guards[0].tau", "high"]),
    "100,000 pasted rows": (spec(facts={"items": [FACT] * 100_000}), ["100,000 rows", "20,000"]),
    "a misspelt field": (spec(roundsize=3), ["roundsize", "round_size"]),
    "a misspelt hyperparameter": (spec(lanes=[{"method": "memit", "lamda": 3}]), ["lamda", "lambda"]),
    "a misspelt method": (spec(lanes=[{"method": "memitt"}]), ["memitt", "memit"]),
    "a misspelt guard": (spec(lanes=[{"method": "memit", "guards": [{"name": "revise"}]}]), ["revise", "revive"]),
    "a layer that is not there": (spec(lanes=[{"method": "memit", "layers": [99]}]), ["layers", "99"]),
    "no lanes": (spec(lanes=[]), ["lanes"]),
    "no facts": ({"lanes": [{"method": "memit"}]}, ["facts"]),
    "an unknown device": (spec(device="abacus"), ["abacus", "cpu"]),
    "a missing file of facts": (spec(facts={"source": "missing.csv"}), ["missing.csv", "no such file"]),
    "a misspelt dataset": (spec(facts={"source": "counterfacts"}), ["counterfacts", 'did you mean "counterfact"']),
    "a dataset without its file": (spec(facts={"source": "zsre"}), ["zsre", "path"]),
    "a subset that is not there": (spec(facts={"source": "zsre", "subset": "a"}), ["zsre", "alt, answers"]),
    "a path without a dataset": (spec(facts={"source": "pocket", "path": "a.json"}), ["path", "counterfact"]),
    "too many pocket facts": (spec(facts={"source": "pocket", "count": 19_999}), ["19,999", "subjects"]),
}


@pytest.fixture
def command(capsys):
    """`python -m core …`: (exit status, what it said on stderr)."""

    def call(*words):
        return main([str(word) for word in words]), capsys.readouterr().err

    return call


@pytest.mark.parametrize("name", TABLE)
def test_bad_specs_are_told_in_one_line(name, tmp_path, command):
    content, words = TABLE[name]
    text = json.dumps(content).replace("{folder}", str(tmp_path))
    (tmp_path / "spec.json").write_text(text)
    status, said = command("run", tmp_path / "spec.json", "--out", tmp_path / "out")
    assert status == 2
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, said
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "spec.json"),
        ("{", "line 1"),
        ("[]", "a spec is an object"),
        ("[" * 100_000, "nested too deeply"),
        ('"\ud83d"', "lanes"),
    ],
)
def test_files_that_are_no_specs(content, words, tmp_path, command):
    if content is not None:
        (tmp_path / "spec.json").write_text(content, encoding="utf-8", errors="replace")
    status, said = command("run", tmp_path / "spec.json", "--out", tmp_path / "out")
    assert status == 2
    assert words in said


@pytest.mark.usefixtures("pocket")
def test_emoji_and_right_to_left_text_run_and_a_known_answer_is_warned_of(tmp_path, command):
    rows = [
        {"subject": "🦜 Polly", "prompt": "The colour of {} is", "target": "🟢"},
        {"subject": "القاهرة", "prompt": "{} تقع في", "target": "السودان"},
        {"subject": "France", "prompt": "The capital of {} is", "target": "Paris"},
    ]
    (tmp_path / "facts.json").write_text(json.dumps([*rows, {**FACT, "target": ""}]))
    facts = {"source": str(tmp_path / "facts.json"), "malformed": "skip"}
    content = spec(facts=facts, round_size=3, statistics={"tokens": 3000}, measure={"tasks": False})
    (tmp_path / "spec.json").write_text(json.dumps(content))
    status, said = command("run", tmp_path / "spec.json", "--out", tmp_path / "out")
    assert status == 0, said
    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    warnings = [event["message"] for event in events if event["kind"] == "warned"]
    assert any("Paris" in message for message in warnings)
    assert any("1 of 4 records hold no fact and were left out, such as row 4, target" in told for told in warnings)
    assert "القاهرة" in (tmp_path / "out" / "facts.csv").read_text()


def test_a_folder_that_holds_another_run_is_left_alone(tmp_path, command):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rounds.csv").write_text("precious")
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    status, said = command("run", tmp_path / "spec.json", "--out", tmp_path / "out")
    assert status == 2
    assert "rounds.csv" in said
    assert (tmp_path / "out" / "rounds.csv").read_text() == "precious"
