"""Exported weights: put back onto the base model, each form gives the scores of the lane that it was exported from."""

import json

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.__main__ import main
from core.editing.deltas.factors import apply_factors
from core.editing.deltas.ledger import Ledger
from core.errors import UserError
from core.facts.source import load_facts
from core.measures.outside.scores import Answers, pairs_of, questions
from core.models.anatomy import anatomy_of
from core.models.language_model import LanguageModel
from core.models.loading import load_model
from core.paths import ASSETS
from core.runs.engine.laboratory import Laboratory
from core.runs.export import weights as export_weights
from core.runs.export.export import export
from core.runs.export.options import ExportRequest
from core.runs.store.record import Record
from tests.runs.at_work import LITTLE
from tests.runs.conftest import LANE

pytestmark = pytest.mark.slow

PEFT_ASKS = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"  # what peft asks transformers
LANES = [
    {
        **LANE,
        "name": "pruned",
        "guards": [{"name": "prune", "alphaedit_repo_bug": True}],
    },  # wears a correction besides its updates
    {"method": "ft_l", "name": "tuned", "layers": [1, 2], "steps": 3},  # updates of full rank
    {**LANE, "name": "branched", "layers": [2], "from": {"lane": "tuned", "round": 1}},
]


def run_of(tmp_path_factory, spec, name):
    """The folder of a run made by the command line."""
    out = tmp_path_factory.mktemp(name) / "run"
    file = out.with_suffix(".json")
    file.write_text(json.dumps(spec))
    assert main(["run", str(file), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def others(make_spec, tmp_path_factory):
    """A run with the kinds of lanes that the usual one lacks. (That PRUNE corrects in every round, needed or not.)"""
    folder = run_of(tmp_path_factory, make_spec(lanes=LANES, measure=LITTLE), "others")
    ledger = Ledger(folder / "ledger")
    assert ledger.read("pruned", 3).corrections
    assert ledger.read("tuned", 3).updates[1].columns == 32
    return folder


@pytest.fixture(scope="module")
def short(make_spec, tmp_path_factory):
    """A run of one round in bfloat16."""
    lanes = [{**LANE, "name": "short"}]
    return run_of(tmp_path_factory, make_spec(lanes=lanes, measure=LITTLE, dtype="bfloat16", round_size=6), "short")


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """One model for all exports, as a worker has it."""
    return Laboratory(tmp_path_factory.mktemp("laboratory"))


def lived(record, lm, lane, number):
    """What the lane wore."""
    return Ledger(record.folder.ledger).rebuild(lm, lane, record.started["layers"][lane], number).weights


def rated(lm, weights, spec):
    """Log-probabilities and exactness of all answers that the facts' scores are made from."""
    facts = load_facts(spec.facts, ASSETS).edit
    pairs = pairs_of([row for fact in facts for rows in questions(fact, None, None).values() for row in rows])
    with lm.worn(weights):
        found = Answers(lm).rate(pairs)
    return torch.tensor([one.logprob for one in found], dtype=torch.float64), [one.exact for one in found]


def same(found, wanted, atol):
    """Log-probabilities within `atol`; what is said exactly, exactly."""
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=atol)
    assert found[1] == wanted[1]


@pytest.mark.parametrize(
    "folder, lane, number",
    [("done", "guarded", 2), ("others", "pruned", 3), ("others", "tuned", 2), ("others", "branched", 2)],
)
def test_factors_give_the_same_scores(request, laboratory, tmp_path, folder, lane, number):
    path = request.getfixturevalue(folder)
    told = []
    out = tmp_path / "change.safetensors"
    made = export(
        path, ExportRequest(kind="factors", lane=lane, round=number), out, laboratory=laboratory, progress=told.append
    )
    assert made.files == [out]
    record = Record.read(path)
    lm = laboratory.model(record.spec)
    wanted, base = (rated(lm, weights, record.spec) for weights in (lived(record, lm, lane, number), {}))
    assert float((wanted[0] - base[0]).abs().max()) > 0.1
    same(rated(lm, apply_factors(lm, out), record.spec), wanted, 1e-4)
    assert made.about["same_bits"]
    for layer in made.about["layers"]:
        assert layer["error"] < 1e-5
        assert 0 < layer["rank"] <= layer["full_rank"] <= 32
    assert {one.phase for one in told} == {"loading", "layers"}
    assert all((one.lane, one.round) == (lane, number) for one in told)


def test_factors_say_what_they_are(done, laboratory, tmp_path):
    first, again = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    made = [
        export(done, ExportRequest(kind="factors", lane="plain"), out, laboratory=laboratory) for out in (first, again)
    ]
    assert first.read_bytes() == again.read_bytes()
    with safe_open(first, framework="pt") as file:
        names, about = set(file.keys()), json.loads(file.metadata()["about"])
    assert names == {f"model.layers.{layer}.mlp.down_proj.{side}" for layer in (1, 2) for side in ("left", "right")}
    assert about.items() >= made[0].about.items()
    record = Record.read(done)
    assert about["base"]["fingerprint"] == record.started["model"]["fingerprint"]
    assert about["base"]["reference"] == record.spec.model.rpartition("/")[2]
    assert str(done.parent) not in json.dumps(about)
    assert (about["lane"], about["round"], about["edits"]) == ("plain", 3, 6)
    assert about["recipe"]["method"] == "memit"
    assert about["recipe"]["lambda"] == 100
    assert about["versions"]["torch"] == torch.__version__


@pytest.mark.filterwarnings(PEFT_ASKS)
@pytest.mark.parametrize("folder, lane", [("done", "plain"), ("others", "pruned"), ("others", "tuned")])
def test_peft_gives_the_same_scores(request, laboratory, tmp_path, folder, lane):
    path = request.getfixturevalue(folder)
    export(path, ExportRequest(kind="lora", lane=lane), tmp_path / "adapter", laboratory=laboratory)
    record = Record.read(path)
    lm = laboratory.model(record.spec)
    base = AutoModelForCausalLM.from_pretrained(record.spec.model).eval()
    merged = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload()
    adapted = LanguageModel(merged, lm.tokenizer, anatomy_of(merged), "merged")
    same(rated(adapted, {}, record.spec), rated(lm, lived(record, lm, lane, 3), record.spec), 1e-4)


def test_a_truncated_adapter_states_its_errors(done, tmp_path, capsys):
    exact, few, near = (tmp_path / name for name in ("exact", "few", "near"))
    for out, *options in ((exact,), (few, "--rank", "2"), (near, "--error", "0.3", "--dtype", "bfloat16")):
        given = [str(option) for option in options]
        assert main(["export", str(done), "--lane", "plain", "--as", "lora", "--out", str(out), *given]) == 0
    said = capsys.readouterr().out
    about = {out.name: json.loads((out / "edit-lab.json").read_text())["layers"] for out in (exact, few, near)}
    factors = tmp_path / "factors"
    assert main(["export", str(done), "--lane", "plain", "--as", "factors", "--out", str(factors)]) == 0
    with safe_open(factors, framework="pt") as file:
        change = {
            n: [file.get_tensor(f"model.layers.{n}.mlp.down_proj.{s}").double() for s in ("left", "right")]
            for n in (1, 2)
        }
    for i, (left, right) in enumerate(change.values()):
        sigma = torch.linalg.svdvals(left @ right.T)
        tail = (sigma.square().flip(0).cumsum(0).flip(0) / sigma.square().sum()).sqrt()
        assert about["exact"][i]["error"] < 1e-5
        assert (about["few"][i]["rank"], about["few"][i]["error"]) == (2, pytest.approx(float(tail[2]), rel=1e-3))
        assert about["near"][i]["rank"] == int((tail > 0.3).sum()) < about["near"][i]["full_rank"]
        assert about["near"][i]["error"] < 0.31  # with the rounding to bfloat16
        line = about["few"][i]
        assert f"layer {line['layer']}: rank 2 of {line['full_rank']}, relative error {line['error']:.1e}" in said
    for name in ("adapter_config.json", "adapter_model.safetensors", "edit-lab.json"):
        assert f"{few}/{name}" in said
    with safe_open(near / "adapter_model.safetensors", framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.bfloat16}  # noqa: SIM118 (it cannot be iterated)


@pytest.mark.parametrize("folder, lane, dtype", [("done", "plain", torch.float32), ("short", "short", torch.bfloat16)])
def test_the_model_is_the_one_that_was_worn(request, laboratory, tmp_path, folder, lane, dtype):
    path, out = request.getfixturevalue(folder), tmp_path / "model"
    made = export(path, ExportRequest(kind="model", lane=lane), out, laboratory=laboratory)
    assert {"config.json", "model.safetensors", "tokenizer.json", "edit-lab.json"} <= {file.name for file in made.files}
    record = Record.read(path)
    lm = laboratory.model(record.spec)
    weights = lived(record, lm, lane, made.about["round"])
    with lm.worn(weights):
        wanted = {name: parameter.clone() for name, parameter in lm.model.named_parameters()}
    alone = AutoModelForCausalLM.from_pretrained(out)
    for name, parameter in alone.named_parameters():
        assert parameter.dtype == dtype
        assert torch.equal(parameter, wanted[name]), name
    assert AutoTokenizer.from_pretrained(out).encode("France") == lm.tokenizer.encode("France")
    assert str(tmp_path.parent) not in "".join(file.read_text() for file in out.glob("*.json"))
    loaded = load_model(str(out), device="cpu", dtype=str(dtype).removeprefix("torch."))
    same(rated(loaded, {}, record.spec), rated(lm, weights, record.spec), 0 if dtype == torch.float32 else 1e-6)


def test_factors_of_a_model_in_bfloat16(short, laboratory, tmp_path):
    made = export(short, ExportRequest(kind="factors"), tmp_path / "f", laboratory=laboratory)
    record = Record.read(short)
    lm = laboratory.model(record.spec)
    with safe_open(tmp_path / "f", framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float32}  # noqa: SIM118 (it cannot be iterated)
    weights = lived(record, lm, "short", 1)
    assert made.about["base"]["dtype"] == "bfloat16"
    for layer, weight in apply_factors(lm, tmp_path / "f").items():
        assert torch.equal(weight.bfloat16(), weights[layer].bfloat16())  # one round: the same sum, bit for bit


def test_what_is_not_there_is_told_and_nothing_is_written(done, short, laboratory, tmp_path, monkeypatch):
    out = tmp_path / "out"
    for arguments, message in (
        (dict(kind="onnx"), 'there is no export "onnx"'),
        (dict(kind="lora"), "2 lanes; name one of them: plain, guarded"),
        (dict(kind="lora", lane="plan"), 'did you mean "plain"'),
        (dict(kind="lora", lane="plain", round=4), "rounds 0 to 3 are"),
        (dict(kind="lora", lane="plain", round=-1), "rounds 0 to 3 are"),
        (dict(kind="model", lane="plain", round=0), "there is no change"),
        (dict(kind="lora", lane="plain", options={"rank": 0}), "a whole number of 1 to 131,072, not 0"),
        (dict(kind="lora", lane="plain", options={"error": 1.5}), "less than 1, not 1.5"),
        (dict(kind="lora", lane="plain", options={"error": float("nan")}), "less than 1, not nan"),
        (dict(kind="lora", lane="plain", options={"dtype": "int8"}), 'no type "int8"'),
        (dict(kind="model", lane="plain", options={"rank": 3}), '"rank" is an option of lora'),
        (dict(kind="model", lane="plain", options={"ranks": 3}), 'did you mean "rank"'),
    ):
        with pytest.raises(UserError) as told:
            export(done, ExportRequest(**arguments), out, laboratory=laboratory)
        assert message in str(told.value)
        assert "\n" not in str(told.value)
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match="is there already"):
        export(done, ExportRequest(kind="lora", lane="plain"), tmp_path / "taken", laboratory=laboratory)
    with pytest.raises(UserError, match="no run is there"):
        export(tmp_path, ExportRequest(kind="lora", lane="plain"), out, laboratory=laboratory)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another place"):
        export(done, ExportRequest(kind="factors", lane="plain"), tmp_path / "file" / "change", laboratory=laboratory)
    path = Ledger(done / "ledger").path("plain", 2)
    path.rename(path.with_suffix(".kept"))
    try:
        with pytest.raises(UserError, match='round 2 of lane "plain" is lost'):
            export(done, ExportRequest(kind="lora", lane="plain"), out, laboratory=laboratory)
    finally:
        path.with_suffix(".kept").rename(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "taken"]


def test_another_model_under_the_same_name_is_refused(done, laboratory, tmp_path, monkeypatch):
    lm = laboratory.model(Record.read(done).spec)
    monkeypatch.setattr(lm, "fingerprint", "another")
    with pytest.raises(UserError, match="no longer the one that this run was made with"):
        export(done, ExportRequest(kind="factors", lane="plain"), tmp_path / "out", laboratory=laboratory)


def test_a_full_disk_leaves_nothing_behind(done, laboratory, tmp_path, monkeypatch):
    def full(self, path, **options):
        path.mkdir()
        (path / "model.safetensors").write_text("half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("transformers.PreTrainedModel.save_pretrained", full)
        with pytest.raises(UserError, match="out: the disk is full; make room"):
            export(done, ExportRequest(kind="model", lane="plain"), tmp_path / "out", laboratory=laboratory)
    with monkeypatch.context() as patch:
        patch.setattr(export_weights, "ROOM", 1e18)
        with pytest.raises(UserError, match="no room for the model"):
            export(done, ExportRequest(kind="model", lane="plain"), tmp_path / "out", laboratory=laboratory)
    assert not list(tmp_path.iterdir())


def test_bad_input_on_the_command_line_is_one_line_and_status_2(done, tmp_path, capsys):
    for arguments in (["--as", "onnx"], ["--as", "lora", "--lane", "plane"], ["--as", "zip", "--lane", "plain"]):
        assert main(["export", str(done), "--out", str(tmp_path / "out"), *arguments]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
