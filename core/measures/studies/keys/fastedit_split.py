"""FastEdit's s_t: how much of a change acts on the inputs in a low-rank model of the keys, and how much outside of it.

s_t = ‖ΔW U‖_F , s̄_t = ‖ΔW V‖_F with V the orthogonal complement of U's span , s_t* = s_t + s̄_t
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

Norms = tuple[float, float]


def split_norms(
    change: Float[Tensor, "d_out d_in"], vectors: Float[Tensor, "d_in r"], scale: Float[Tensor, " r"] | None = None
) -> Norms:
    """(s, s̄) of one layer, for orthonormal columns; with `scale` s is ‖ΔW U diag(scale)‖_F. float64.

    s̄ is the norm of the remainder without the columns' part, which needs no basis of the complement.
    """
    delta, columns = change.double(), vectors.double()
    along = delta @ columns
    rest = delta - along @ columns.T
    return float((along if scale is None else along * scale.double()).norm()), float(rest.norm())


def over_layers(layers: Sequence[Norms]) -> dict[str, float]:
    """`s`, `s_bar` over several layers (roots of sums of squares) and `s_star`, their sum: not a norm itself."""
    s, rest = (math.sqrt(sum(norms[side] ** 2 for norms in layers)) for side in (0, 1))
    return {"s": s, "s_bar": rest, "s_star": s + rest}
