"""What a round's solve takes: against a fresh d x d solve in float64: `python -m tests.bench.solves`.

Fresh is what the published code does every round: the matrix of C0 and all keys is made anew and solved by LU
(`torch.linalg.solve`); beside it by Cholesky, which needs half of that. Only the solve is counted, not the making.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

import torch
from torch import Tensor

from core.editing.linalg.solve import by_factor, factor
from core.editing.methods.alphaedit import AlphaEdit
from core.editing.methods.memit import Memit
from tests.bench.layer import Given, Layer
from tests.bench.machine import Spent, describe, peak_memory, spending

WEIGHT, BETA = 15000.0, 10.0
METHODS = {
    "MEMIT": Memit(lambda_=WEIGHT),
    "MEMIT, history": Memit(lambda_=WEIGHT, history=True),
    "AlphaEdit": AlphaEdit(beta=BETA),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--dims", type=int, nargs="+", default=[4096])
    options.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    options.add_argument("--round-size", type=int, default=100)
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--device", default="cpu")
    options.add_argument("--no-lu", action="store_true", help="leave out the LU solve (minutes at d = 14336)")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{describe()}; {arguments.threads} threads, {arguments.device}; rounds of {arguments.round_size}")
    print("seconds of the processor (of the clock)\n")
    print("| d | method | fresh LU | fresh Cholesky | first round | later rounds | × LU | × Cholesky | difference |")
    print("|---|---|---|---|---|---|---|---|---|")
    for d in arguments.dims:
        plain: dict[str, Spent] = {}
        for name in arguments.methods:
            print(row(d, name, METHODS[name], plain, arguments), flush=True)
    print(f"\npeak memory {peak_memory()}")


def row(d: int, name: str, method: Any, plain: dict[str, Spent], arguments: argparse.Namespace) -> str:
    """One method at one width; `plain` holds what the fresh solves of that width took."""
    layer = Layer(d, arguments.device)
    prior = Given(torch.linalg.qr(layer.normal(d, d // 8))[0]) if isinstance(method, AlphaEdit) else None
    spent: list[Spent] = []
    for _ in range(arguments.rounds):
        keys, residual = layer.keys(arguments.round_size), layer.normal(layer.outputs, arguments.round_size)
        context = layer.context(prior)
        with spending() as taken:
            found = method.update(keys, residual, context).right
        spent.append(taken)
        past = context.history.double()
        layer.remember(keys)
    layer.memo.clear()
    later = Spent(median(one.wall for one in spent[1:]), median(one.cpu for one in spent[1:]))
    expected = fresh(method, layer, keys, past, prior, plain, not arguments.no_lu)
    apart = float((found - expected).norm() / expected.norm())
    lu, cholesky = plain.get("LU"), plain["Cholesky"]
    times = [told(one) for one in (lu, cholesky, spent[0], later)]
    ratios = [f"{one.per(later):.1f}" if one else "–" for one in (lu, cholesky)]
    return f"| {d} | {name} | {' | '.join(times + ratios)} | {apart:.0e} |"


def fresh(
    method: Any, layer: Layer, keys: Tensor, past: Tensor, prior: Any, plain: dict[str, Spent], lu: bool
) -> Tensor:
    """The last round by a fresh solve. All methods' fresh solves are of one size, so each kind is timed once."""
    seen = torch.cat([past, keys], 1)
    if prior is not None:
        seen = prior.projection(layer.context(), 0.0).apply(seen)
        matrix = torch.zeros(layer.d, layer.d, dtype=torch.float64, device=keys.device)
        matrix.diagonal().add_(BETA)
    else:
        matrix = layer.moment().mul_(WEIGHT)
        seen = seen if method.history else keys
    matrix.addmm_(seen, seen.T)
    right = seen[:, -keys.shape[1] :].contiguous()
    if lu and "LU" not in plain:
        with spending() as plain["LU"]:
            torch.linalg.solve(matrix, right)
    with spending() as taken:
        found = by_factor(factor(matrix, 0), right)
    plain.setdefault("Cholesky", taken)
    return found


def told(spent: Spent | None) -> str:
    """Seconds of the processor and of the clock."""
    return f"{spent.cpu:.2f} ({spent.wall:.2f})" if spent else "–"


if __name__ == "__main__":
    main()
