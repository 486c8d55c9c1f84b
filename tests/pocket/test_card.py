import argparse
import json
import shutil

import pytest
import torch

from core.models.loading import load_model
from core.pocket.card import make_card, render, task_accuracy, write_card
from core.pocket.cli import add_parser
from core.pocket.model import Shape
from core.pocket.train import Training, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    out = shutil.copytree(built, tmp_path_factory.mktemp("card") / "p")
    shape = Shape(width=64, layers=2, ffn=128)
    train(out, Training(steps=6, shape=shape, batch_tokens=512), say=lambda _: None)
    return out


def test_a_task_item_is_right_when_its_choice_is_the_likeliest(trained):
    lm = load_model(str(trained / "model"), device="cpu", dtype="float32")
    items = [
        {"prompt": "The capital of France is", "choices": ["Paris", "Kuala Lumpur"], "answer": 1},
        {"prompt": "A much longer prompt about", "choices": ["x", "Gold", "the sea"], "answer": 0},
    ]
    right = []
    for item in items:
        likely = []
        for choice in item["choices"]:
            start = len(lm.tokenizer(item["prompt"])["input_ids"])
            tokens = lm.tokenizer(f"{item['prompt']} {choice}", return_tensors="pt")["input_ids"]
            with torch.inference_mode():
                logits = lm.model(input_ids=tokens).logits[0, start - 1 : -1]
            wanted = tokens[0, start:]
            likely.append(logits.log_softmax(-1)[range(len(wanted)), wanted].sum().item())
        right.append(likely.index(max(likely)) == item["answer"])
    assert task_accuracy(lm, items)["share"] == sum(right) / len(right)


def test_card_covers_everything(trained):
    card = make_card(trained)
    assert set(card["tasks"]) == {"sentiment", "acceptability", "paraphrase", "entailment", "reading", "knowledge",
                                  "arithmetic", "pattern"}  # fmt: skip
    assert 0 <= card["recall"]["all"]["share"] <= 1
    assert card["held_out_templates"]["all"]["count"] < card["recall"]["all"]["count"]
    write_card(card, trained)
    assert json.loads((trained / "card.json").read_text(encoding="utf-8")) == card
    assert "held-out templates" in render(card)


def test_exported_model_is_stock_llama_in_bf16(trained):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(str(trained / "model"))
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.dtype == torch.bfloat16
    tokenizer = AutoTokenizer.from_pretrained(str(trained / "model"))
    assert tokenizer("France")["input_ids"][0] == model.config.bos_token_id


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["pocket", *words])
    return args.run(args)


def test_bad_input_is_exit_code_two(tmp_path, capsys):
    assert run("card", str(tmp_path)) == 2
    assert run("train", "--out", str(tmp_path), "--minutes", "1", "--steps", "2") == 2
    assert run("train", "--out", str(tmp_path), "--steps", "2", "--width", "100") == 2
    assert run("train", "--out", str(tmp_path), "--steps", "2", "--resume") == 2
    assert capsys.readouterr().err.count("\n") == 4
