"""Hidden states of the same texts before and after edits, for R_k and for the maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.facts.fact import Fact
from core.measures.inside import drift
from core.measures.inside.maps import Layout, layout
from core.measures.outside.scores import pass_size
from core.models.float32_layers import widened
from core.models.forward import activations, token_activations
from core.models.language_model import LanguageModel

Beat = Callable[[], None]  # called between passes of the model


@dataclass(frozen=True)
class Probe:
    """Token states at the output of the down-projections, by layer, of the base model on fixed texts.

    A token counts once per distinct prefix (the model is causal: equal prefixes have equal states). A lone BOS does not
    count, because it is an uninformative outlier. A model of a narrow type computes `span`, its first to last measured
    layer, in float32: rounding would move states by more than small edits do.
    """

    lm: LanguageModel
    span: tuple[int, int]
    texts: list[str]
    tokens: Int[Tensor, " n"]  # indices of the measured tokens, in the order of `token_activations`
    states: dict[int, Float[Tensor, "n d"]]
    principal: dict[int, drift.Principal]
    null_edit: dict[int, Float[Tensor, " k"]]  # R_k of a second pass of the base model: exactly 0 where passes repeat
    resampled: dict[int, Float[Tensor, " k"]]  # R_k with the pairing lost and no edit: about 1.13

    @classmethod
    def build(
        cls,
        lm: LanguageModel,
        layers: Sequence[int],
        texts: Sequence[str],
        rows: int,
        seed: int = 0,
        beat: Beat | None = None,
    ) -> Probe | str:
        """A probe on the first texts with `rows` distinct tokens; or the reason, in words, why there can be none."""
        chosen, tokens, distinct = choose_texts(lm, texts, rows)
        width = lm.d_model
        if distinct < width:
            few = f"its texts hold {distinct:,} distinct tokens, and states of width {width:,} need more"
            return f"R_k was left out: {few}; give measure.texts"
        probe = cls(lm, (min(layers), max(layers)), chosen, torch.tensor(tokens), {}, {}, {}, {})
        first, second = probe.read({}, layers, beat), probe.read({}, layers, beat)
        for layer in layers:
            if beat is not None:
                beat()
            principal = drift.factorise(first[layer])
            probe.states[layer] = first[layer]
            probe.principal[layer] = principal
            probe.null_edit[layer] = drift.r_k(principal, second[layer] - first[layer])[principal.real]
            probe.resampled[layer] = drift.resampled_control(principal, first[layer], seed)[principal.real]
        return probe

    def read(
        self, weights: Mapping[int, Tensor], layers: Sequence[int], beat: Beat | None = None
    ) -> dict[int, Float[Tensor, "n d"]]:
        """The states of the model with these `weights`."""
        narrow = self.lm.dtype != self.lm.master_dtype  # then a heartbeat would find widened layers
        with widened(self.lm, *self.span), self.lm.worn(weights):
            size, between = pass_size(self.lm), None if narrow else beat
            recorded = token_activations(self.lm, self.texts, layers, "down", size, between)
        return {layer: states[self.tokens] for layer, states in recorded.items()}

    def r_k(self, layer: int, states: Float[Tensor, "n d"]) -> Float[Tensor, " k"]:
        """R_k of these states against the base model's, over the directions that are larger than round-off."""
        principal = self.principal[layer]
        return drift.r_k(principal, states - self.states[layer])[principal.real]

    def about(self, name: str) -> str:
        """A description of the states read, from texts called `name`."""
        text = f"{len(self.tokens):,} tokens of {name}"
        if self.lm.dtype == self.lm.master_dtype:
            return text
        first, last = self.span
        which = f"layer {first}" if first == last else f"layers {first} to {last}"
        return f"{text}; {which} computed in float32, the edits not rounded to {str(self.lm.dtype).partition('.')[2]}"

    def controls(self) -> list[dict[str, Any]]:
        """Both controls of each layer, to draw: `layer, k, null, resampled` at the directions of `drift.points`."""
        rows = []
        for layer, null in sorted(self.null_edit.items()):
            drawn, other = drift.points(null), drift.points(self.resampled[layer])
            rows.append({"layer": layer, "k": drawn["k"], "null": drawn["rk"], "resampled": other["rk"]})
        return rows

    def note(self) -> str | None:
        """A warning if there are few tokens for the width of the states."""
        n, d = next(iter(self.states.values())).shape
        return f"R_k rests on {n} tokens for {d} directions; 4 per direction or more are advised" if n < 4 * d else None


def choose_texts(lm: LanguageModel, texts: Sequence[str], rows: int) -> tuple[list[str], list[int], int]:
    """(texts, indices of the tokens to use in the order of `token_activations`, how many are used)."""
    chosen: list[str] = []
    tokens: list[int] = []
    seen: set[tuple[int, ...]] = set()
    start = 0
    lone = {(lm.tokenizer.bos_token_id,)}
    for text in texts:
        if len(tokens) >= rows:
            break
        ids = lm.encode(text)
        if not 0 < len(ids) <= lm.max_length:
            continue
        chosen.append(text)
        for position in range(len(ids)):
            prefix = tuple(ids[: position + 1])
            if prefix not in seen and prefix not in lone:
                seen.add(prefix)
                tokens.append(start + position)
        start += len(ids)
    return chosen, tokens[:rows], min(len(tokens), rows)


@dataclass(frozen=True)
class MapPanel:
    """Fixed prompts whose states at the subject's last token, after layer `layer`, are mapped before and after."""

    lm: LanguageModel
    layer: int
    texts: list[str]
    positions: list[int]
    facts: list[int]  # index of the fact to edit; −1 for a fact that no edit asks to change
    base: Float[Tensor, "n d"]
    anchor: Layout

    @classmethod
    def build(
        cls,
        lm: LanguageModel,
        layer: int,
        facts: Mapping[int, Fact],
        unedited: Sequence[Fact],
        beat: Beat | None = None,
    ) -> MapPanel | None:
        """A panel of these facts; None if there are fewer than four."""
        members = [*facts.items(), *((-1, fact) for fact in unedited)]
        if len(members) < 4:
            return None
        placed = [lm.slot_last(fact.prompt, fact.subject) for _, fact in members]
        texts, positions = [text for text, _ in placed], [position for _, position in placed]
        with lm.worn({}):
            base = activations(lm, texts, positions, [layer], "block", pass_size(lm), beat)[layer]
        return cls(lm, layer, texts, positions, [i for i, _ in members], base, layout(base, base))

    def draw(
        self,
        weights: Mapping[int, Tensor],
        edited: Sequence[int],
        method: str,
        seed: int = 0,
        beat: Beat | None = None,
    ) -> dict[str, object] | None:
        """The map as the page draws it. Every layout is rotated onto the base model's, so rounds and lanes are
        comparable.

        None if the edited model's states are not all finite.
        """
        with self.lm.worn(weights):
            size = pass_size(self.lm)
            after = activations(self.lm, self.texts, self.positions, [self.layer], "block", size, beat)[self.layer]
        if not bool(torch.isfinite(after).all()):
            return None
        placed = layout(self.base, after, method, seed, self.anchor)
        done = set(edited)
        return {
            "method": method,
            "layer": self.layer,
            "points": placed.points,
            "explained": placed.explained,
            "fact": self.facts,
            "edited": [int(i in done) for i in self.facts],
            "x0": placed.before[:, 0].tolist(),
            "y0": placed.before[:, 1].tolist(),
            "x": placed.after[:, 0].tolist(),
            "y": placed.after[:, 1].tolist(),
        }
