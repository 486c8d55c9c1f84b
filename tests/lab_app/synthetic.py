"""A run that looks like one, for tests of the page: events as the worker would write them, from closed formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from core.runs.progress.events import Edited, Event, Finished, Measured, Progress, Started, Warned
from core.runs.spec.run_spec import RunSpec
from core.runs.store.store import Store

LANES = ("MEMIT", "MEMIT + REVIVE")
LAYERS = (3, 4, 5)
RANK = 256
TASKS = ("sentiment", "entailment", "arithmetic")
WORDS = (
    ("The capital of France is", "Lyon", "Paris"),
    ("An official language of Japan is", "Spanish", "Japanese"),
    ("The author of Faust is", "Leo Tolstoy", "Goethe"),
    ("Marie Curie is famous for work in", "music", "physics"),
)


def sigma(layer: int, damage: float = 0.0) -> list[float]:
    """A falling spectrum; damage raises a few directions after the first."""
    base = [4.0 * (i + 1) ** -0.45 * (1 + 0.05 * layer) for i in range(RANK)]
    return sorted((s + damage * 5 * math.exp(-i / 12) for i, s in enumerate(base)), reverse=True)


def spectrum(layer: int, damage: float = 0.0) -> dict[str, Any]:
    values = sigma(layer, damage)
    total, running, cumulative = sum(values), 0.0, []
    for value in values:
        running += value
        cumulative.append(running / total)
    keep = sorted({round(RANK ** (i / 95)) - 1 for i in range(96)})
    return {
        "layer": layer,
        "index": keep,
        "sigma": [values[i] for i in keep],
        "cumulative": [cumulative[i] for i in keep],
        "total_rank": RANK,
    }


def rank_at(layer: int, tau: float, damage: float = 0.0) -> int:
    values = sigma(layer, damage)
    running = 0.0
    for k, value in enumerate(values, start=1):
        running += value
        if running >= tau * sum(values):
            return k
    return RANK


def started(rounds: int, facts: int, lanes: tuple[str, ...] = LANES, recipes: dict[str, Any] | None = None) -> Started:
    return Started(
        lanes=[{"label": lane, "recipe": (recipes or {}).get(lane, {"method": "memit"})} for lane in lanes],
        rounds=rounds,
        facts=facts,
        layers={lane: list(LAYERS) for lane in lanes},
        model={"reference": "pocket", "fingerprint": "0" * 16, "parameters": 27_500_000, "n_layers": 8}
        | {"d_model": 256, "d_ffn": 2048},
        versions={"edit-lab": "0.1.0"},
        spectra=[spectrum(layer) for layer in LAYERS],
        tasks={name: {"chance": 0.25 + 0.125 * i, "in_mean": True, "metric": "acc"} for i, name in enumerate(TASKS)},
        reads={"drift": "1,024 tokens of statements of 200 facts that no edit concerns"},
        controls=[
            {"layer": layer, "k": list(range(256)), "null": [0.0] * 256}
            | {"resampled": [1.128 + 0.1 * math.sin(k * layer) for k in range(256)]}
            for layer in LAYERS
        ],
        tau_k={str(tau): {str(layer): rank_at(layer, tau) for layer in LAYERS} for tau in (0.02, 0.05, 0.1, 0.2, 0.3)},
    )


def edited(lane: str, number: int, size: int) -> Edited:
    return Edited(
        lane=lane,
        round=number,
        facts=list(range((number - 1) * size, number * size)),
        seconds={"values": 0.8, "keys": 0.1, "solve": 0.1, "guard": 0.0, "total": 1.0},
        layers=[{"layer": layer, "delta_frobenius": 0.2, "removed_share": 0.1} for layer in LAYERS],
        hash={str(layer): f"{number:08x}" for layer in LAYERS},
    )


def measured(lane: str, number: int, rounds: int, size: int, texts: tuple = WORDS) -> Measured:
    guarded = "REVIVE" in lane
    harm = (number / max(rounds, 1)) * (0.35 if guarded else 0.8)
    wave = 0.012 * math.sin(number * 2.1 + guarded)
    scores: dict[str, Any] = {"edits": number * size, "scored": min(200, number * size), "edit_seconds": 1.0}
    if number:
        first = 0.93 if guarded else 0.985
        scores |= {"efficacy": first - 0.35 * harm + wave, "efficacy_exact": first - 0.08 - 0.5 * harm + wave}
        scores |= {"paraphrase": first - 0.06 - 0.4 * harm, "paraphrase_exact": first - 0.2 - 0.5 * harm - wave}
        scores |= {"efficacy_when_edited": first + 0.01, "efficacy_exact_when_edited": first - 0.05}
    scores |= {
        "locality_kept": 1 - 0.5 * harm,
        "neighborhood": 0.97 - 0.45 * harm,
        "neighborhood_exact": 0.92 - 0.6 * harm + wave,
    }
    scores |= {"unedited_recall": 0.985 - 0.7 * harm - abs(wave), "task_mean": 0.86 - 0.35 * harm + wave}
    scores |= {f"task_{name}": 0.8 + 0.05 * i - 0.4 * harm for i, name in enumerate(TASKS)}
    return Measured(
        lane=lane,
        round=number,
        scores=scores,
        layers=[
            {"layer": layer, "dominant_rank": 12 - number % 3, "k": rank_at(layer, 0.1), "ls": 1 - harm * 0.9}
            | {"ss_right": 1 - (0 if guarded else harm), "ss_left": 1 - (0 if guarded else harm * 0.8)}
            | {"frobenius": 30 + harm * 4, "drift_right": 0.0 if guarded else harm * 0.2}
            | {"drift_left": 0.0 if guarded else harm * 0.15, "rk_median": 0.3 * harm, "rk_q90": harm}
            | {"rk_over_1": harm * 0.3, "change": harm}
            for layer in LAYERS
        ],
        spectra=[
            spectrum(layer, damage) | {"k": rank_at(layer, 0.1, damage)}
            for layer, damage in ((layer, harm * (1 + 0.1 * layer)) for layer in LAYERS)
        ],
        similarity=[directions(layer, 0 if guarded else harm) for layer in LAYERS],
        drift=[
            {"layer": layer, "k": list(range(256))}
            | {"rk": [harm * (0.4 + 1.6 * (k / 256) ** 2) * (1 + 0.2 * math.sin(k * layer)) for k in range(1, 257)]}
            for layer in LAYERS
        ],
        words=[
            {
                "fact": i,
                "prompt": prompt,
                "target": target,
                "truth": truth,
                "before": f"{truth}. It is a",
                "said": i != 2,
            }
            | {"after": f"{target}. It is a" if i != 2 else f"{truth}. It was"}
            for i, (prompt, target, truth) in enumerate(texts)
        ]
        if number
        else [],
        map=mapped(harm),
    )


def directions(layer: int, harm: float) -> dict[str, Any]:
    """The first direction of W_t is j = 1 of W_0 at first, and more and more j = 40; k = 20 directions are dominant."""
    index = sorted({round(RANK ** (i / 47)) - 1 for i in range(48)} | {39})
    first = [1 - harm if j == 0 else harm if j == 39 else 0.01 for j in index]
    most = [1 - harm * (i + 1) / 20 for i in range(20)]
    row: dict[str, Any] = {"layer": layer, "k": 20, "index_max": list(range(20))}
    for side in ("right", "left"):
        row |= {f"index_{side}": index, f"ss_{side}_first": first, f"ss_{side}_max": most}
    return row


def mapped(harm: float, points: int = 90) -> dict[str, Any]:
    turn = [(i * 2.399, math.sqrt(i / points) * 4) for i in range(points)]
    x0 = [math.cos(a) * r + 5 * (i % 3) for i, (a, r) in enumerate(turn)]
    y0 = [math.sin(a) * r for a, r in turn]
    moved = [1 if i % 2 else 0 for i in range(points)]
    x = [value + harm * 4 * moved[i] for i, value in enumerate(x0)]
    y = [value + harm * 2 * math.sin(i) * moved[i] for i, value in enumerate(y0)]
    fact = [i if moved[i] else -1 for i in range(points)]
    return {"method": "pca", "x": x, "y": y, "x0": x0, "y0": y0, "fact": fact, "points": points, "edited": moved}


def scripted(
    rounds: int = 10,
    size: int = 50,
    lanes: tuple[str, ...] = LANES,
    texts: tuple = WORDS,
    recipes: dict[str, Any] | None = None,
) -> Iterator[Event]:
    """All events of a run, in order."""
    yield started(rounds, rounds * size, lanes, recipes)
    for lane in lanes:
        yield measured(lane, 0, rounds, size, texts)
    for number in range(1, rounds + 1):
        for lane in lanes:
            yield edited(lane, number, size)
            yield measured(lane, number, rounds, size, texts)
    yield Finished(status="done")


def record(store: Store, rounds: int = 10, until: int | None = None, **options: Any) -> str:
    """A run written into a store, all of it or `until` a round (then it is still running)."""
    spec = {"model": "pocket", "facts": {"source": "pocket", "count": rounds * 50}, "round_size": 50}
    lanes = [
        {"method": "memit", "name": name} | ({"guards": [{"name": "revive", "tau": 0.1}]} if "REVIVE" in name else {})
        for name in options.get("lanes", LANES)
    ]
    run = store.create_run(RunSpec.from_dict(spec | {"lanes": lanes}).as_dict())
    store.set_status(run, "running")
    recipes = {lane["name"]: lane for lane in lanes}
    for event in scripted(rounds, recipes=recipes, **options):
        if event.kind == "finished":
            store.append(run, [event], status="done")
        elif until is not None and getattr(event, "round", 0) > until:
            store.append(run, [Warned(message="LS of layer 5 fell under .5", lane="MEMIT", round=until)])
            done = {"done": 12, "total": 50, "eta_seconds": 95.0, "run_done": until * 2, "run_total": rounds * 2 + 1}
            store.set_progress(run, Progress(phase="values", lane=LANES[0], round=until + 1, **done))
            return run
        else:
            store.append(run, [event])
    return run


def weighed(asked: dict[str, Any]) -> dict[str, Any]:
    """A sandbox's answer: REVIVE takes the share τ, half of it from each block that is dominant on one side."""
    guard = asked["guard"]
    taus = [i / 100 for i in range(1, 51)]
    tau = (guard or {}).get("tau", 0.0)
    names = ("dominant → dominant", "rest → dominant", "dominant → rest", "rest → rest")
    shares = {name: [0.0, tau / 2, tau / 2, 1 - tau][i] for i, name in enumerate(names)}
    curve = {name: [[0.0, t / 2, t / 2, 1 - t][i] for t in taus] for i, name in enumerate(names)}
    facts = [
        {"fact": i, "prompt": prompt, "target": target, "truth": truth}
        | {"before": [0.01, False], "given": [0.95, True], "predicted": [round(0.95 - tau * (i + 1) / 4, 4), i < 2]}
        for i, (prompt, target, truth) in enumerate(WORDS)
    ]
    return {
        **asked,
        "tau": tau or 0.1,
        "removed": tau,
        "blocks": {
            name: {"raw": share, "left": share if name == "rest → rest" else 0.0, "chance": 0.25}
            for name, share in shares.items()
        },
        "layers": [{"layer": n, "k": rank_at(n, tau or 0.1), "norm": 1.0, "removed": tau} for n in LAYERS],
        "curve": guard
        and {"field": "tau", "x": taus, "removed": taus, "blocks": curve}
        | {"k": {str(n): [rank_at(n, t) for t in taus] for n in LAYERS}},
        "given": {"removed": 0.0, "guards": []},
        "facts": facts,
        "of": 50,
        "scores": {
            name: {"p": sum(row[name][0] for row in facts) / 4, "exact": sum(row[name][1] for row in facts) / 4}
            for name in ("before", "given", "predicted")
        },
        "seconds": 0.1,
    }
