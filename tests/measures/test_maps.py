import math
import sys
import types

import pytest
import torch

from core.errors import UserError
from core.measures.inside.maps import Layout, align, joint_layout, layout, principal_components


def cloud(n=40, d=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator) * torch.linspace(3, 0.3, d) + 5


def turned(points, angle=1.1):
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=points.dtype)
    return points @ (turn @ torch.diag(torch.tensor([1.0, -1.0], dtype=points.dtype))) + 7


def test_pca_equals_the_eigenvectors_of_the_covariance():
    states = cloud().double()
    scores, explained = principal_components(states, 2)
    values, vectors = torch.linalg.eigh(torch.cov(states.T))
    expected = (states - states.mean(0)) @ vectors.flip(1)[:, :2]
    torch.testing.assert_close(scores.abs(), expected.abs(), rtol=0, atol=1e-10)
    assert explained == pytest.approx(float(values[-2:].sum() / values.sum()))
    again, _ = principal_components(states.flip(0), 2)
    torch.testing.assert_close(again.flip(0), scores, rtol=0, atol=1e-10)  # signs do not depend on the order


def test_alignment_undoes_turns_mirrors_and_shifts():
    points = cloud(d=2).double()
    torch.testing.assert_close(align(turned(points), turned(points), points), points, rtol=0, atol=1e-10)


def test_layouts_follow_the_one_before():
    before, after = cloud(), cloud() + 0.2 * cloud(seed=1)
    first = layout(before, before)
    assert first.points == 40
    torch.testing.assert_close(first.before, first.after)
    previous = Layout("pca", turned(first.before), turned(first.after), None)
    second = layout(before, after, previous=previous)
    assert float((second.before - previous.before).norm() / previous.before.norm()) < 0.2
    assert second.explained is not None


@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_neighbor_maps_are_repeatable_and_joint(method):
    left, right = cloud(n=20), cloud(n=20, seed=1) + 40
    before = torch.cat([left, right])
    first, again = layout(before, before, method, seed=3), layout(before, before, method, seed=3)
    torch.testing.assert_close(first.before, again.before)
    assert first.explained is None
    apart = (first.before[:20].mean(0) - first.before[20:].mean(0)).norm()
    spread = (first.before[:20] - first.before[:20].mean(0)).norm(dim=1).mean()
    assert float(apart) > float(spread)  # two far clouds stay two clouds


def test_umap_is_asked_for_a_repeatable_joint_layout(monkeypatch):
    """Against a stand-in for umap-learn that notes its settings."""
    asked, threads = {}, torch.get_num_threads()

    class UMAP:
        def __init__(self, **settings):
            asked.update(settings)

        def fit_transform(self, joint):
            asked["shape"] = joint.shape
            torch.set_num_threads(threads + 1)  # as numba does
            return joint[:, :2]

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    found = layout(cloud(), cloud(), "umap", seed=5)
    assert asked == {"n_neighbors": 15, "init": "pca", "random_state": 5, "n_jobs": 1, "shape": (80, 10)}
    assert (found.method, found.points) == ("umap", 40)
    assert torch.get_num_threads() == threads


def test_an_unknown_map_is_named():
    with pytest.raises(UserError, match='unknown map "tsn": did you mean "tsne"'):
        layout(cloud(), cloud(), "tsn")


def test_more_than_two_states_in_one_map():
    first, second, third = cloud(), cloud(seed=1) + 3, cloud(n=15, seed=2)
    (a, b, c), explained = joint_layout([first, second, third])
    scores, expected = principal_components(torch.cat([first, second, third]))
    torch.testing.assert_close(torch.cat([a, b, c]), scores)
    assert explained == expected
    (moved, *_), _ = joint_layout([first, second, third], anchor=turned(a))
    torch.testing.assert_close(moved, turned(a), rtol=0, atol=1e-9)
