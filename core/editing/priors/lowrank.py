"""FastEdit's prior: a low-rank plus diagonal model of the keys, fused with the weight's own directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from jaxtyping import Float

from core import ceiling
from core.editing.history.folding import Folded, fold
from core.editing.history.incremental import KeyHistory, Projecting, Protecting
from core.editing.history.woodbury import IncrementalWoodbury
from core.editing.layer_context import LayerContext, Prior
from core.editing.linalg.metric import LowRankPlusDiagonal, Metric, Restricted
from core.editing.linalg.subspace import Projection, joint_basis
from core.editing.settings.defaults import GPT2_XL, GPT_J, LLAMA_3, PUBLISHED, Default, Known, ModelInfo, published
from core.editing.settings.parameters import param
from core.lazy import torch

METHODS = ("memit", "emmet", "alphaedit")
RANKS: dict[Known, dict[str, tuple[tuple[int, float], ...]]] = {  # FastEdit, Table 3: (r0, its energy) of each method
    GPT2_XL: {
        "CounterFact": ((1852, 0.7), (1852, 0.7), (1852, 0.7)),
        "ZsRE": ((1852, 0.7), (1852, 0.7), (2820, 0.8)),
    },
    GPT_J: {
        "CounterFact": ((5911, 0.8), (5911, 0.8), (5911, 0.8)),
        "ZsRE": ((3326, 0.7), (3326, 0.7), (5911, 0.8)),
    },
    LLAMA_3: {
        "CounterFact": ((5958, 0.8), (9104, 0.9), (1472, 0.5)),
        "ZsRE": ((3875, 0.7), (3875, 0.7), (1472, 0.5)),
    },
}


@dataclass(frozen=True)
class Factors:
    """C_fused ≈ U Uᵀ + D: eigenvectors E, their eigenvalues (U = E Λ^½), and D."""

    vectors: Float[torch.Tensor, "d_in r"]
    values: Float[torch.Tensor, " r"]
    diagonal: Float[torch.Tensor, " d_in"]

    @property
    def directions(self) -> Float[torch.Tensor, "d_in r"]:
        """U."""
        return self.vectors * self.values.sqrt()


@dataclass(frozen=True, kw_only=True)
class LowRankPrior(Prior):
    """A = λ (U Uᵀ + D) + K_p K_pᵀ with U, D from C_fused = (1−α) C0 + α C_prior (FastEdit, Eq. 10-13).

    C_prior = V_r Λ V_rᵀ from the original weight's right singular vectors, scaled to ‖C0‖_F; r is the rank at which C0
    by itself reaches the energy, at most the weight's rank. C0 is uncentred. The keys K_p of earlier rounds are
    compressed every τ keys to their r leading directions, r = min(k_γ, r_max) (Alg. 1). Choices that the paper leaves
    open (Λ, the definition of the energy, α) are fields.
    """

    title: ClassVar[str] = "low-rank plus diagonal"
    paper: ClassVar[str] = "FastEdit"
    suffix: ClassVar[str] = "-F"
    implies: ClassVar[Mapping[str, Default]] = MappingProxyType(
        {"history": Default(True, "FastEdit protects the keys of earlier edits (Eq. 10, 22, 23).")}
    )

    alpha: float = param(
        0.05, symbol="α", ge=0, le=1, help="Share of the weight's own directions; 0 with abundant statistics."
    )
    energy: float = param(
        0.8,
        symbol="γ₀",
        gt=0,
        le=1,
        help="U consists of the fewest directions that hold this share of C_fused's energy.",
    )
    energy_of: str = param(
        "variance",
        choices=("variance", "squared"),
        help="Energy: the sum of eigenvalues (the trace), or of their squares.",
    )
    rank: int | None = param(
        None, symbol="r₀", ge=1, le=ceiling.WIDTH, help="Number of U's directions, instead of the energy share."
    )
    weights: str = param(
        "variance", choices=("variance", "identity"), help="Λ: the weight's squared singular values, or ones."
    )
    floor: float = param(1e-6, gt=0, lt=1, help="Minimum of D, as a share of the mean variance of a key's entry.")
    gamma: float = param(
        0.99, symbol="γ", gt=0, le=1, help="Share of the earlier keys' energy that a compression keeps."
    )
    interval: int | None = param(
        500, symbol="τ", ge=1, le=ceiling.FACTS, help="Compress after this many keys; null: never."
    )
    max_rank: int = param(
        3000, symbol="r_max", ge=1, le=ceiling.WIDTH, help="Maximum number of directions that a compression keeps."
    )

    @classmethod
    def usual(cls, model: ModelInfo, method: str) -> dict[str, Default]:
        """r0 of the paper's Table 3, for its models and methods; CounterFact's for facts of other datasets."""
        known = next((known for known in RANKS if known.fits(model)), None)
        if known is None or method not in METHODS:
            return {}
        column = "ZsRE" if model.facts == "zsre" else "CounterFact"
        rank, energy = RANKS[known][column][METHODS.index(method)]
        where = f"FastEdit, Table 3, for {known.name} on {column} (energy {energy:g})"
        other = (
            "" if model.facts in ("zsre", "counterfact") else "; these facts belong to neither data set of the table"
        )
        return {"rank": Default(rank, f"{where}{other}.", unless="energy")}

    @classmethod
    def suits(cls, model: ModelInfo, method: str) -> dict[str, Default]:
        """The layers, values and λ of the paper's comparison, the same for all three methods."""
        if method not in METHODS or not any(known.fits(model) for known in RANKS):
            return {}
        shared = published(model, PUBLISHED)
        same = {name: Default(row.value, f"{row.reason} FastEdit (§5, App. B.3) keeps it for all three methods.")
                for name, row in shared.items()}  # fmt: skip
        return same | {"lambda": Default(15000.0, "FastEdit, App. B.3: 15,000 on all models.")}

    def idle(self, method: Any) -> dict[str, str]:
        """AlphaEdit's threshold, which U replaces; and fields without effect because of a given rank, α or interval."""
        reasons = dict.fromkeys(("threshold", "relative"), "U's directions are protected instead")
        reasons |= dict.fromkeys(("lowrank energy", "lowrank energy_of"), "the rank is given") if self.rank else {}
        reasons |= {} if self.alpha else {"lowrank weights": "α is 0"}
        return reasons | ({} if self.interval else dict.fromkeys(("lowrank gamma", "lowrank max_rank"), "τ is null"))

    def opening(self, threshold: float) -> str:
        """Why `projection` is empty, and which settings to change."""
        advice = "give a smaller rank" if self.rank else f"lower the prior's energy (γ₀, {self.energy:g} now)"
        return f"The low-rank prior protects every direction: {advice}. FastEdit, App. B.4, has γ₀ of .3 to .9."

    def metric(self, context: LayerContext, weight: float, ridge: float = 0.0, history: bool = False) -> Metric:
        """A of a layer. λ (U Uᵀ + D) is computed once per run, the contribution of compressed keys once per
        compression."""
        whole = context.whole or context
        key = ("factor model", self, weight, ridge)
        metric: Metric = whole.once(key, lambda: self.base(whole, weight, ridge))
        if history:
            metric = self.protecting(whole, key, metric)
        return metric if context.blocked is None else Restricted(metric, context.blocked)

    def protecting(
        self,
        context: LayerContext,
        key: tuple,
        base: Metric,
        matrix: Callable[[], Float[torch.Tensor, "d_in d_in"]] | None = None,
        project: Projecting | None = None,
        woodbury_limit: int = 0,
    ) -> Protecting:
        """A + K_p K_pᵀ for the compressed keys of all earlier rounds; `project` is applied to each block first.

        `key` identifies A among the layer's metrics. There are few compressed keys, so they are never added to A's
        matrix: `matrix` and `woodbury_limit` are not used.
        """
        whole, project = context.whole or context, project or context.allowed
        key_history = context.once(("key_history", self, *key), KeyHistory)
        key_history.wholes = whole.once(("compressed", self), list)
        compressed, rest = self.compressed(whole)
        nothing = whole.once(("no keys", self), lambda: whole.history[:, :0].double())
        return key_history.metric(
            compressed, nothing, lambda: IncrementalWoodbury(base).plus(project(compressed)), rest, project
        )

    def base(self, context: LayerContext, weight: float, ridge: float) -> LowRankPlusDiagonal:
        """λ (U Uᵀ + D + ε · mean variance · I)."""
        factors = self.factors(context)
        diagonal = factors.diagonal + ridge * float(context.moment().diagonal().mean())
        return LowRankPlusDiagonal(weight, factors.directions, diagonal, context.layer)

    def factors(self, context: LayerContext) -> Factors:
        """U and D of a layer (Eq. 12, 13), computed once per run."""

        def build() -> Factors:
            fused = self.fused(context)
            values, vectors = torch.linalg.eigh(fused)
            values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
            rank = self.directions(values)
            basis, sizes = vectors[:, :rank].contiguous(), values[:rank].contiguous()
            diagonal = fused.diagonal() - (basis**2 * sizes).sum(1)
            least = self.floor * float(fused.diagonal().mean())
            return Factors(basis, sizes, diagonal.clamp(min=least))

        return context.once(("factors", *self.modelled()), build)

    def modelled(self) -> tuple:
        """What U and D depend on."""
        return (self.alpha, self.energy, self.energy_of, self.rank, self.weights, self.floor)

    def directions(self, values: Float[torch.Tensor, " d_in"]) -> int:
        """r0 for descending eigenvalues."""
        if self.rank is not None:
            return min(self.rank, len(values))
        energy = values if self.energy_of == "variance" else values**2
        return fewest(energy, self.energy)

    def fused(self, context: LayerContext) -> Float[torch.Tensor, "d_in d_in"]:
        """C_fused (Eq. 11)."""
        data = context.moment()
        if not self.alpha:
            return data
        decomposition = context.svd()
        rank = min(self.directions(torch.linalg.eigvalsh(data).flip(0).clamp(min=0)), len(decomposition.sigma))
        vectors = decomposition.vh[:rank].T
        sizes = decomposition.sigma[:rank] ** 2 if self.weights == "variance" else torch.ones_like(vectors[0])
        prior = (vectors * sizes) @ vectors.T
        return (1 - self.alpha) * data + self.alpha * (data.norm() / prior.norm()) * prior

    def compressed(
        self, context: LayerContext
    ) -> tuple[Float[torch.Tensor, "d_in r"], Float[torch.Tensor, "d_in rest"]]:
        """(K_comp in float64, K_buff) of a layer's earlier keys."""
        history = context.history
        nothing = context.once(("no keys", self), lambda: history[:, :0].double())
        if self.interval is None:
            return nothing, history
        known: list[Folded] = context.once(("compressed", self), list)
        compact, rest = fold(
            known, history, self.interval, nothing, lambda compact, new: self.compress(torch.cat([compact, new], 1))
        )
        return compact, history[:, history.shape[1] - rest.shape[1] :]

    def compress(self, keys: Float[torch.Tensor, "d_in n"]) -> Float[torch.Tensor, "d_in r"]:
        """U_r S_r of the keys (Alg. 1), up to a rotation: K Kᵀ loses at most (1−γ) of its trace, unless r_max removes
        more.

        Computed from the smaller of Kᵀ K and K Kᵀ, several times as fast as K's own decomposition. The squaring loses
        precision only in directions without energy, and the result never exceeds K Kᵀ.
        """
        tall = keys.shape[1] <= keys.shape[0]
        energy, vectors = torch.linalg.eigh(keys.T @ keys if tall else keys @ keys.T)
        energy, vectors = energy.flip(0).clamp(min=0), vectors.flip(1)
        rank = min(fewest(energy, self.gamma), self.max_rank)
        few = vectors[:, :rank].contiguous()
        return keys @ few if tall else few * energy[:rank].sqrt()

    def projection(self, context: LayerContext, threshold: float) -> Projection:
        """P_U = I − E Eᵀ (App. A.1): `threshold` is not used, since U's directions are the protected ones."""
        whole = context.whole or context
        vectors = self.factors(whole).vectors
        return Projection(vectors if context.blocked is None else joint_basis(vectors, context.blocked), onto=False)


def fewest(energy: Float[torch.Tensor, " n"], share: float) -> int:
    """The smallest k with e_1 + … + e_k ≥ share · Σe, of descending e."""
    reached = energy.cumsum(0) / energy.sum()
    return min(int((reached < share).sum()) + 1, len(energy))


PRIOR = LowRankPrior
