import json

import pytest

from core.errors import UserError
from core.facts.files import LARGEST, read_file
from core.facts.origin import rows_at
from tests.facts.records import COUNTERFACT, EVENT, KNOWEDIT, ZSRE


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The `datasets` library, its cache in a folder of the tests' own and its progress bars off."""
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        datasets.disable_progress_bars()
        yield datasets
        datasets.enable_progress_bars()


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def test_a_folder_with_one_file(tmp_path):
    write(tmp_path / "data" / "only.json", [ZSRE])
    write(tmp_path / ".cache" / "hidden.json", [])
    (tmp_path / "README.md").write_text("x")
    assert rows_at(str(tmp_path)) == [ZSRE]


def test_a_folder_with_several_files_takes_the_usual_one_or_asks(tmp_path, load):
    write(tmp_path / "ZsRE" / "ZsRE-test-all.json", [KNOWEDIT])
    write(tmp_path / "wiki_recent" / "recent_test.json", [KNOWEDIT, KNOWEDIT])
    with pytest.raises(UserError, match="holds ZsRE/ZsRE-test-all.json, wiki_recent/recent_test.json; give the path"):
        rows_at(str(tmp_path))
    assert len(load(source="knowedit", path=str(tmp_path)).edit) == 1
    assert len(load(source="knowedit", path=str(tmp_path), subset="wiki_recent").edit) == 2


def test_a_folder_without_files(tmp_path):
    with pytest.raises(UserError, match="without files of facts"):
        rows_at(str(tmp_path))


@pytest.mark.parametrize("place", ["/no/such/folder", "no such/thing", "~nobody_here/x.json", "a" * 5000, "x\0y.json"])
def test_what_is_not_there_is_told_in_one_line(place):
    with pytest.raises(UserError) as caught:
        rows_at(place)
    assert "\n" not in str(caught.value)


def test_what_the_library_saved_to_disk(tmp_path, library, load):
    """Its columns fill the kinds that a record lacks with nulls, and make columns of lists of objects."""
    other = {**KNOWEDIT, "portability": {"Reasoning": KNOWEDIT["portability"]["Reasoning"]}}
    library.Dataset.from_list([KNOWEDIT | {"portability": {}}, other]).save_to_disk(tmp_path / "saved")
    found = load(source="knowedit", path=str(tmp_path / "saved"))
    assert [len(fact.portability) for fact in found.edit] == [0, 1]
    assert found.edit[1].portability == load([other]).edit[0].portability
    splits = {"train": library.Dataset.from_list([ZSRE]), "test": library.Dataset.from_list([ZSRE, ZSRE])}
    library.DatasetDict(splits).save_to_disk(tmp_path / "splits")
    place = str(tmp_path / "splits")
    with pytest.raises(UserError, match='has the splits train, test; choose with "split"'):
        rows_at(place)
    with pytest.raises(UserError, match='no split "dev"; it has train, test'):
        rows_at(place, "train+dev")
    assert len(rows_at(place, "train+test")) == 3


def test_a_parquet_file(tmp_path, library, load):
    path = tmp_path / "facts.parquet"
    library.Dataset.from_list([COUNTERFACT]).to_parquet(path)
    assert load(source=str(path)).edit == load([COUNTERFACT]).edit
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match="not a Parquet file"):
        rows_at(str(path))


def test_a_hub_dataset_is_loaded_by_its_id(tmp_path, library, load, monkeypatch):
    """The library itself builds the dataset, from files here in the place of the hub's."""
    write(tmp_path / "hub" / "train.json", [ZSRE, ZSRE])
    write(tmp_path / "hub" / "test.json", [ZSRE])
    asked, build = [], library.load_dataset

    def instead(place):
        asked.append(place)
        return build(str(tmp_path / "hub"))

    monkeypatch.setattr(library, "load_dataset", instead)
    found = load(source="zsre", path="somebody/zsre", split="train+test")
    assert (asked, len(found.edit)) == (["somebody/zsre"], 3)
    assert found.edit[0] == load([ZSRE]).edit[0]


def test_the_usual_place_of_a_dataset_is_asked_where_no_path_is_given(library, load, monkeypatch):
    splits = {"train": [COUNTERFACT], "test": [COUNTERFACT]}
    monkeypatch.setattr(library, "load_dataset", lambda place: splits if place == "azhx/counterfact" else {})
    assert len(load(source="counterfact").edit) == 2
    with pytest.raises(UserError, match='zsre needs a "path".* published at https'):
        load(source="zsre")


def test_one_file_of_a_hub_dataset(tmp_path, load, monkeypatch):
    import huggingface_hub

    asked = []

    def fetched(repository, file, repo_type):
        asked.append((repository, file, repo_type))
        return str(write(tmp_path / "fetched.json", [KNOWEDIT]))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetched)
    assert len(load(source="knowedit", subset="wiki_counterfact").edit) == 1
    assert asked == [("zjunlp/KnowEdit", "benchmark/wiki_counterfact/test_cf.json", "dataset")]


@pytest.mark.parametrize("error", [ConnectionError("no way\nout"), ValueError("pick a config"), KeyError("x")])
def test_a_hub_that_does_not_answer_is_told_in_one_line(library, load, monkeypatch, error):
    def refuse(place):
        raise error

    monkeypatch.setattr(library, "load_dataset", refuse)
    with pytest.raises(UserError, match="somebody/zsre: could not be loaded .*check the id and the network") as caught:
        load(source="zsre", path="somebody/zsre")
    assert "\n" not in str(caught.value)


def test_a_file_has_no_splits(tmp_path):
    with pytest.raises(UserError, match="a file has no splits"):
        rows_at(str(write(tmp_path / "facts.json", [ZSRE])), "train")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("facts.json", b"[" * 100_000, "JSON that cannot be read"),
        ("facts.json", b"1" + b"0" * 5000, "JSON that cannot be read .a number of 5,001 digits"),
        ("facts.json", b'{"a": 1}\n{"a": 2}', "line 2: not JSON .* a .jsonl file"),
        ("facts.csv", b"subject\n" + b"x" * 200_000, "line .: not CSV"),
        ("facts.json", b"\xff", "not UTF-8"),
    ],
)
def test_broken_files_are_told_in_one_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        read_file(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_file_too_large_is_not_read(tmp_path):
    with (tmp_path / "facts.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UserError, match="256 MiB is more than the limit"):
        read_file(tmp_path / "facts.json")


def test_lines_end_at_line_feeds_only(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(EVENT | {"event": "a\u2028b"}, ensure_ascii=False) + "\r\n\n" + json.dumps(EVENT))
    assert [row["event"] for row in read_file(path)] == ["a\u2028b", EVENT["event"]]
