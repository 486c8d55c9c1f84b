import shutil

import pytest
import torch

from core.pocket.model import (
    Shape,
    drop_neurons,
    hide_words,
    narrow_readers,
    new_model,
    set_hidden,
    take_meaning_loss,
    take_write_size,
    watch_words,
    watch_writes,
    widened,
)
from core.pocket.train import Position, Training, learning_rate, train, weighted_loss

pytestmark = pytest.mark.slow

TINY = Shape(width=64, layers=2, ffn=128)


def plan(steps: int, **options) -> Training:
    return Training(steps=steps, shape=TINY, batch_tokens=256, warmup_steps=4, **options)


def folder_with_world(built, tmp_path, name: str):
    return shutil.copytree(built, tmp_path / name)


@pytest.mark.parametrize("minutes, steps", [(None, None), (1.0, 5)])
def test_length_must_be_said_once(minutes, steps):
    with pytest.raises(ValueError, match="either minutes or steps"):
        Training(minutes=minutes, steps=steps)


def test_rate_warms_up_stays_and_falls():
    p = Training(steps=1_000, warmup_steps=100, learning_rate=1.0, decay_from=0.5, final_share=0.1)
    rates = [learning_rate(p, Position(step=s)) for s in (0, 99, 400, 500, 750, 1_000)]
    assert rates == pytest.approx([0.01, 1, 1, 1, 0.55, 0.1])


def test_loss_counts_weights_only():
    tokens = torch.tensor([[0, 1, 2, 3]])
    logits = torch.zeros(1, 4, 5)
    logits[0, 1, 2] = 50.0  # certain and right about the third token
    loss, right = weighted_loss(logits, tokens, torch.tensor([[0.0, 0.0, 1.0, 0.0]]))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert right.item() == 1.0


def test_dropped_neurons_are_for_training_only(tokenizer):
    model = new_model(tokenizer, TINY, seed=0)
    tokens = torch.arange(12)[None]
    plain = model.eval()(input_ids=tokens).logits
    drop_neurons(model, below=1, rate=0.5)
    assert torch.equal(model(input_ids=tokens).logits, plain)
    assert not torch.equal(model.train()(input_ids=tokens).logits, plain)


def test_a_widened_model_says_the_same(tokenizer):
    model = new_model(tokenizer, TINY, seed=0).eval()
    narrow_readers(model, first=1, neurons=32)
    assert [layer.mlp.down_proj.in_features for layer in model.model.layers] == [128, 32]
    tokens = torch.arange(12)[None]
    wide = widened(model)
    assert [layer.mlp.down_proj.weight.shape for layer in wide.model.layers] == [(64, 128)] * 2
    torch.testing.assert_close(wide(input_ids=tokens).logits, model(input_ids=tokens).logits)
    assert not wide.model.layers[1].mlp.down_proj.weight[:, 32:].any()


def test_hidden_words_are_read_by_later_layers_at_their_last_piece(tokenizer):
    model = new_model(tokenizer, TINY, seed=0).eval()
    model.set_attn_implementation("eager")
    tokens = torch.arange(10, 22).repeat(3, 1)
    tokens[1, 3] = 40  # another first piece
    tokens[2, 4] = 40  # another last piece
    words = torch.tensor([0, 0, 0, 1, 1, 0, 0, 0, 0, 2, 2, 0]).repeat(3, 1)

    def states():
        return model(input_ids=tokens, output_hidden_states=True).hidden_states

    def changed(layer: int, row: int) -> list[int]:
        return (states()[layer][0] != states()[layer][row]).any(-1).nonzero().flatten().tolist()

    plain = states()
    hide_words(model)
    assert all(torch.equal(a, b) for a, b in zip(states(), plain, strict=True))  # evaluation sees everything
    model.train()
    set_hidden(model, 1, words, share=1.0)
    assert changed(1, 1) == [3, 4]  # below, a word's own pieces alone read it
    assert changed(1, 2) == [4]
    assert changed(2, 1) == list(range(3, 12))  # above, its last piece has read the first
    set_hidden(model, 0, words, share=1.0)
    assert changed(1, 1) == [3, 4]  # the first piece itself is never read from outside
    assert changed(1, 2) == list(range(4, 12))
    set_hidden(model, 1, words, share=0.0)
    torch.testing.assert_close(states()[-1], plain[-1])


def test_meaning_is_read_below_the_readers(tokenizer):
    model = new_model(tokenizer, TINY, seed=0).train()
    watch_words(model, below=1)
    tokens = torch.arange(12).repeat(2, 1)
    meanings = torch.full((2, 12), -1)
    meanings[0, 3], meanings[1, 7] = 20, 30
    states = model(input_ids=tokens, output_hidden_states=True).hidden_states[1]
    loss = take_meaning_loss(model, 1, meanings)
    logits = model.lm_head(model.model.norm(states)).log_softmax(-1)
    torch.testing.assert_close(loss, -(logits[0, 3, 20] + logits[1, 7, 30]) / 2)
    loss.backward()
    assert model.model.layers[0].mlp.down_proj.weight.grad.any()
    assert model.model.layers[1].mlp.down_proj.weight.grad is None


def test_write_size_is_what_modules_add(tokenizer):
    model = new_model(tokenizer, TINY, seed=0).train()
    written = []
    for layer in model.model.layers:
        layer.self_attn.register_forward_hook(lambda module, inputs, output: written.append(output[0]))
        layer.mlp.register_forward_hook(lambda module, inputs, output: written.append(output))
    watch_writes(model)
    model(input_ids=torch.arange(12)[None])
    expected = sum(part.square().mean() for part in written)
    torch.testing.assert_close(take_write_size(model), expected)


def test_a_hundred_steps_lower_the_loss(built, tmp_path):
    lines = []
    train(folder_with_world(built, tmp_path, "a"), plan(100, learning_rate=3e-3), say=lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines if "loss" in line]
    assert losses[-1] < losses[0] - 0.3


def test_resumed_equals_uninterrupted(built, tmp_path, monkeypatch):
    whole = train(folder_with_world(built, tmp_path, "whole"), plan(12), say=lambda _: None)
    out = folder_with_world(built, tmp_path, "halves")

    class Killed(Exception):
        pass

    from core.pocket import train as module

    save = module.save_checkpoint
    monkeypatch.setattr(module, "export", lambda *_: None)

    def save_then_die(path, model, optimizer, position):
        save(path, model, optimizer, position)
        if position.step == 7:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_checkpoint", save_then_die)
        with pytest.raises(Killed):
            train(out, plan(12, export_minutes=0.0), say=lambda _: None)
    halves = train(out, plan(12), resume=True, say=lambda _: None)
    for (name, a), b in zip(whole.state_dict().items(), halves.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_resume_with_another_shape_says_so(built, tmp_path):
    out = folder_with_world(built, tmp_path, "shapes")
    train(out, plan(1), say=lambda _: None)
    with pytest.raises(ValueError, match="another shape"):
        train(out, Training(steps=2, shape=Shape(width=128, layers=2, ffn=128)), resume=True, say=lambda _: None)


def test_resume_without_a_checkpoint_says_so(built, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        train(folder_with_world(built, tmp_path, "none"), plan(2), resume=True)
