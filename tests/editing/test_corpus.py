"""Texts from files and from local datasets: streamed, named by their content, and told where they are wrong."""

import json

import pytest

from core.editing.statistics.corpus import dataset_corpus, file_corpus, hash_texts
from core.errors import UserError


def test_a_file_is_a_text_a_line(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("One is here.\n\n   \nTwo is ünder.\n", encoding="utf-8")
    corpus = file_corpus(path, "statistics.texts")
    assert list(corpus.texts()) == list(corpus.texts()) == ["One is here.", "Two is ünder."]
    assert corpus.name == hash_texts(["One is here.", "Two is ünder."])
    path.write_text("One is there.\n\nTwo is ünder.\n", encoding="utf-8")
    assert file_corpus(path, "").name != corpus.name
    assert hash_texts(["ab", "c"]) != hash_texts(["a", "bc"])


def test_a_file_is_read_as_it_is_used(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("One.\nTwo.\n")
    texts = iter(file_corpus(path, "").texts())
    assert next(texts) == "One."


@pytest.mark.parametrize(
    "content, told", [(None, "cannot be read"), (b"\xff\xfe\xfa", "UTF-8"), (b" \n\n", "a paragraph a line")]
)
def test_files_that_cannot_be_used(tmp_path, content, told):
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"statistics.texts: .*{told}"):
        file_corpus(path, "statistics.texts")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """What is read here is kept nowhere else."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def folder(path, rows):
    path.mkdir(exist_ok=True)
    (path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return path


ROWS = [{"text": "One.", "body": "Eins.", "n": 1}, {"text": " ", "body": "Zwei.", "n": 2}, {"text": "Three.", "n": 3}]


def test_a_folder_is_a_dataset(tmp_path):
    corpus = dataset_corpus(str(folder(tmp_path / "a", ROWS)), None, "train", "text", "here")
    assert list(corpus.texts()) == list(corpus.texts()) == ["One.", "Three."]
    body = dataset_corpus(str(tmp_path / "a"), None, "train", "body", "here")
    assert list(body.texts()) == ["Eins.", "Zwei."]
    assert len({corpus.name, body.name}) == 2
    assert dataset_corpus(str(tmp_path / "a"), None, "train", "text", "here").name == corpus.name
    folder(tmp_path / "a", ROWS[:1])
    assert dataset_corpus(str(tmp_path / "a"), None, "train", "text", "here").name != corpus.name


def test_text_files_are_a_dataset(tmp_path):
    (tmp_path / "some.txt").write_text("One.\n\nTwo.\n")
    assert list(dataset_corpus(str(tmp_path), None, "train", "text", "here").texts()) == ["One.", "Two."]


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"column": "texd"}, r'no text column "texd"; did you mean "text"\? Known: body, text'),
        ({"column": "n"}, 'no text column "n"'),
        ({"split": "test"}, "Bad split: test"),
        ({"reference": "no/such-thing"}, 'the dataset "no/such-thing" cannot be read'),
    ],
)
def test_datasets_that_cannot_be_used(tmp_path, changes, told):
    given = {"reference": str(folder(tmp_path / "a", ROWS)), "split": "train", "column": "text", **changes}
    with pytest.raises(UserError, match=rf"^here: .*{told}"):
        dataset_corpus(given["reference"], None, given["split"], given["column"], "here")
