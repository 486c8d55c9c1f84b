"""Inside: the singular values of an edited matrix, and how many of them hold the share τ of the energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.formula import formula, frac, row, sub, total, under
from core.charts.grammar import Chart, Choice, Chosen, Figure, Plot, Reference, Rule
from core.charts.panel import Event, Panel, Start
from core.charts.table import LANE, LAYER, ROUND, Block, Column, picked, thinned
from core.editing.linalg.dominance import COUNT, ENERGY, Dominance, of_recorded

UNEDITED = "unedited"


def curve(spectrum: Mapping[str, Any], most: int = 40) -> dict[str, Any]:
    """One layer's spectrum with few points; `i` counts from 1."""
    sigma, index = spectrum.get("sigma") or [], spectrum.get("index")
    index = list(range(len(sigma))) if index is None else index
    keep = thinned(len(sigma), most)
    return {
        "layer": spectrum["layer"],
        "i": [int(index[i]) + 1 for i in keep],
        "sigma": picked(sigma, keep),
        "share": picked(spectrum.get("cumulative") or [], keep),
    }


def start(event: Event) -> Start:
    """W₀'s own spectra, finer than those of the rounds; for each lane and layer, k of W₀ at the lane's τ."""
    blocks: list[Block] = [
        {"table": "spectra", "reference": UNEDITED} | curve(spectrum, 60) for spectrum in event.get("spectra") or []
    ]
    known, own = event.get("tau_k") or {}, event.get("lane_k") or {}
    for lane in event.get("lanes") or []:
        label, recipe = lane["label"], lane.get("recipe") or {}
        share = of_recorded(recipe) or Dominance()
        older = known.get(str(share.tau)) if share.by == ENERGY else None  # of runs without `lane_k`, by energy alone
        ranks = own.get(label) or older or {}
        label_of = f"τ = {share.tau}" + (" of their number" if share.by == COUNT else "")
        layers = {"layer": [int(layer) for layer in ranks], "k": list(ranks.values())} if ranks else {}
        blocks.append({"table": "dominant", "lane": label, "tau": label_of} | layers)
    return Start(blocks=blocks, lacking=(event.get("lacking") or {}).get("weights") or "")


def energy(event: Event) -> list[Block]:
    """The spectra of one lane's edited layers, and k of each."""
    spectra = event.get("spectra") or []
    blocks: list[Block] = [{"table": "spectra"} | curve(spectrum) for spectrum in spectra]
    ranks = {spectrum["layer"]: spectrum["k"] for spectrum in spectra if spectrum.get("k")}
    return blocks + ([{"table": "now", "layer": list(ranks), "k": list(ranks.values())}] if ranks else [])


PANEL = Panel(
    key="energy",
    place=3,
    title="Singular-value energy",
    protocol="plain sums of σ, not of their squares",
    promise="How much of each matrix lies in its first directions, and what edits add to it.",
    explanation="A few directions carry much of a matrix: the first k hold a share τ of the sum of its singular "
    "values. REVIVE protects those of W₀ (shaded). Where a lane's curve rises above the grey one of the unedited "
    "matrix, edits have added strong directions that compete with the old ones and change the k of the edited "
    "matrix (dotted).",
    equation=formula(
        "k",
        "=",
        under("min", "k′"),
        row(
            "{",
            "k′",
            ":",
            frac(total(row("i", "≤", "k′"), sub("σ", "i")), total("i", sub("σ", "i"))),
            "≥",
            "τ",
            "}",
        ),
    ),
    plot=Plot(
        charts=(
            Chart(
                table="spectra",
                kind="line",
                x="i",
                y=Chosen("scale", {"sigma": "sigma", "share": "share"}),
                title="",
                x_title="singular value i",
                y_title="",
                log_x=True,
                at_round=True,
                smooth=True,
                references=(Reference(name=UNEDITED, width=5.0),),
                rules=(
                    Rule(axis="x", table="dominant", column="k", shade=True, label="k of W₀ = {}", unit="count"),
                    Rule(axis="x", table="now", column="k", by_lane=True),
                ),
            ),
        ),
        choices=(
            Choice(name="scale", label="Scale", options=(("sigma", "σ"), ("share", "share"))),
            Choice(name="layer", label="Layer", column="layer", shared=True),
        ),
        figures=(
            Figure(title="k of W₀ at {} (shaded)", table="dominant", column="k", fill="tau", once=True),
            Figure(title="k of Wₜ (dotted)", table="now", column="k"),
        ),
    ),
    columns={
        "spectra": (
            LANE,
            ROUND,
            LAYER,
            Column("i", "singular value i", "index"),
            Column("sigma", "σ"),
            Column("share", "share of Σσ up to here", "share"),
        ),
        "dominant": (LANE, Column("tau", "τ", "text"), LAYER, Column("k", "k of W₀", "count")),
        "now": (LANE, ROUND, LAYER, Column("k", "k of Wₜ", "count")),
    },
    rows=energy,
    start=start,
)
