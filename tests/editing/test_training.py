"""What a method learns once per model: stopped at any step it goes on to the same bits, and it is kept in a file."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from core.editing.lane.session import EditSession
from core.editing.training.loop import Learner, learnt, name_of


class Line(Learner):
    """Fits w to a target that a step's number draws, and counts steps in a parameter that is not trained."""

    what = "a line"

    def __init__(self, steps: int = 8, size: int = 3):
        self.steps, self.size, self.calls = steps, size, 0

    def about(self) -> dict[str, Any]:
        return {"size": self.size}

    def start(self) -> dict[str, Tensor]:
        return {"w": torch.zeros(self.size).double(), "seen": torch.zeros(1)}

    def rates(self) -> Mapping[str, float]:
        return {"w": 0.1}

    def step(self, params: dict[str, Tensor], number: int) -> Tensor:
        self.calls += 1
        params["seen"] += 1
        target = torch.randn(self.size, generator=torch.Generator().manual_seed(number)).double()
        return (params["w"] - target).square().sum()


def plain(steps: int) -> Tensor:
    w = torch.zeros(3).double().requires_grad_()
    adam = torch.optim.Adam([w], lr=0.1)
    for number in range(steps):
        adam.zero_grad()
        target = torch.randn(3, generator=torch.Generator().manual_seed(number)).double()
        (w - target).square().sum().backward()
        adam.step()
    return w.detach()


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stop", [0, 1, 5])
def test_stopped_it_goes_on_to_the_same_bits_and_is_kept(lm, tmp_path, stop):
    beats, told, one = [], [], Line()

    def beat() -> None:
        beats.append(1)
        if len(beats) > stop:
            raise Stopped

    with pytest.raises(Stopped):
        learnt(EditSession(lm, {}, trained=tmp_path), one, beat)
    assert one.calls == stop
    rest = Line()
    found = learnt(EditSession(lm, {}, trained=tmp_path), rest, progress=told.append)
    assert rest.calls == 8 - stop
    assert torch.equal(found["w"], plain(8))
    assert float(found["seen"]) == 8
    assert told[0].done == stop
    assert "how long it takes is measured on the first step" in told[0].message
    assert "left" in told[-1].message
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    again = Line()
    assert torch.equal(learnt(EditSession(lm, {}, trained=tmp_path), again)["w"], found["w"])
    assert again.calls == 0


def test_without_a_folder_the_session_keeps_it_and_other_settings_are_another_training(lm):
    session, one = EditSession(lm, {}), Line()
    first = learnt(session, one)
    assert learnt(session, Line())["w"] is first["w"]
    assert one.calls == 8
    names = {name_of(lm, seed, learner) for seed, learner in ((0, Line()), (1, Line()), (0, Line(9)), (0, Line(8, 2)))}
    assert len(names) == 4


def test_a_damaged_file_is_made_anew(lm, tmp_path):
    found = learnt(EditSession(lm, {}, trained=tmp_path), Line())
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"cut off")
    assert torch.equal(learnt(EditSession(lm, {}, trained=tmp_path), Line())["w"], found["w"])
