"""Maps of representations: the same prompts before and after the edits, in one joint two-dimensional layout.

PCA is linear and cheap; t-SNE and UMAP show neighborhoods only (their distances and sizes mean little). With all
methods, both states of every prompt are embedded jointly, and a new layout is rotated onto the previous one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.errors import UserError, nearest

METHODS: tuple[str, ...] = ("pca", "tsne", "umap")
FIRST_AXES = 50  # principal components that t-SNE and UMAP start from


@dataclass(frozen=True)
class Layout:
    """The position of each prompt before (`before[i]`) and after (`after[i]`) the edits."""

    method: str
    before: Float[Tensor, "n 2"]
    after: Float[Tensor, "n 2"]
    explained: float | None  # share of the variance that the two axes hold; PCA only

    @property
    def points(self) -> int:
        return len(self.before)


def principal_components(states: Float[Tensor, "n d"], count: int = 2) -> tuple[Float[Tensor, "n c"], float]:
    """Scores on the first `count` principal components, and the share of variance that they hold.

    The sign of an axis is fixed by its largest loading, so that equal input gives an equal picture.
    """
    centred = states.double() - states.double().mean(0)
    u, sigma, vh = torch.linalg.svd(centred, full_matrices=False)
    sign = torch.sign(vh.gather(1, vh.abs().argmax(1, keepdim=True))).squeeze(1)
    total = float(sigma.square().sum())
    return (u * (sigma * sign))[:, :count], float(sigma[:count].square().sum()) / total if total else 1.0


def layout(
    before: Float[Tensor, "n d"],
    after: Float[Tensor, "n d"],
    method: str = "pca",
    seed: int = 0,
    previous: Layout | None = None,
) -> Layout:
    """Embed both states of n prompts jointly; rotate the result onto `previous` (of the same prompts), if given."""
    anchor = previous.before if previous is not None and previous.points == len(before) else None
    (flat_before, flat_after), explained = joint_layout([before, after], method, seed, anchor)
    return Layout(method, flat_before, flat_after, explained)


def joint_layout(
    states: Sequence[Float[Tensor, "_ d"]],
    method: str = "pca",
    seed: int = 0,
    anchor: Float[Tensor, "n 2"] | None = None,
) -> tuple[list[Float[Tensor, "_ 2"]], float | None]:
    """(the positions of the rows of each of `states`, share of the variance shown) in one embedding of all of them.

    The whole is moved rigidly so that the first of `states` comes closest to `anchor`, if given.
    """
    joint = torch.cat(list(states)).cpu()
    explained = None
    if method == "pca":
        flat, explained = principal_components(joint, 2)
    elif method == "tsne":
        flat = _tsne(joint, seed)
    elif method == "umap":
        flat = _umap(joint, seed)
    else:
        raise UserError(f'unknown map "{method}": {nearest(method, METHODS)}')
    if anchor is not None:
        flat = align(flat, flat[: len(states[0])], anchor.to(flat.dtype))
    return list(flat.split([len(rows) for rows in states])), explained


def spread(items: Sequence[int], most: int) -> list[int]:
    """At most so many of the items, evenly spaced, including the first and the last: the rounds that are drawn."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def align(
    points: Float[Tensor, "m 2"], anchors: Float[Tensor, "n 2"], targets: Float[Tensor, "n 2"]
) -> Float[Tensor, "m 2"]:
    """Move `points` rigidly (rotation, reflection, shift; no scaling) so that `anchors` come closest to `targets`.

    Orthogonal Procrustes: the rotation is the polar factor of the cross-covariance of the two sets.
    """
    centre, goal = anchors.mean(0), targets.mean(0)
    u, _, vh = torch.linalg.svd((anchors - centre).T @ (targets - goal))
    return (points - centre) @ (u @ vh) + goal


def _reduced(joint: Float[Tensor, "m d"]) -> np.ndarray:
    """The leading principal components as float32 numpy, which is what both neighbor methods start from."""
    scores, _ = principal_components(joint, min(FIRST_AXES, *joint.shape))
    return scores.float().cpu().numpy()


def _tsne(joint: Float[Tensor, "m d"], seed: int) -> Float[Tensor, "m 2"]:
    from sklearn.manifold import TSNE

    model = TSNE(2, perplexity=min(30.0, (len(joint) - 1) / 3), init="pca", random_state=seed)
    return torch.from_numpy(model.fit_transform(_reduced(joint))).double()


def _umap(joint: Float[Tensor, "m d"], seed: int) -> Float[Tensor, "m 2"]:
    with warnings.catch_warnings():
        # umap-learn and numba warn about threads once a seed is set, and about their own dependencies.
        warnings.simplefilter("ignore")
        from umap import UMAP

        model = UMAP(n_neighbors=min(15, len(joint) - 1), init="pca", random_state=seed, n_jobs=1)
        threads = torch.get_num_threads()
        try:
            flat = model.fit_transform(_reduced(joint))
        finally:
            torch.set_num_threads(
                threads
            )  # numba sets those of the OpenMP that torch uses too: later bits would differ
        return torch.from_numpy(np.asarray(flat)).double()
