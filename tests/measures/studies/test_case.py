from core.editing.lane.session import EditSession


def test_states_of_a_lane_are_read_from_its_ledger(case, lm):
    assert case.last == 3
    assert case.edited(2) == [0, 1, 2, 3, 4, 5]
    assert case.weights(0) == {}
    for layer in case.layers:
        assert case.matrix(0, layer).equal(lm.original(layer))
        total = lm.original(layer) + sum(case.update(t).updates[layer].dense() for t in (1, 2, 3))
        assert float((case.matrix(3, layer) - total).norm()) < 1e-12 * float(total.norm())
    assert isinstance(case.session, EditSession)


def test_layers_are_those_that_rounds_edited(choosing):
    case, _ = choosing
    assert case.recipe.layers == (0, 1, 2, 3)  # candidates
    assert case.layers == (1, 2)
    assert [case.layers_of(t) for t in (1, 2, 3)] == [(1,), (2,), (1,)]
    assert [case.edited_layers(t) for t in (0, 1, 2)] == [(1, 2), (1,), (1, 2)]
    assert [case.most_edited(t) for t in (1, 2, 3)] == [1, 2, 1]


def test_a_lane_that_changed_nothing(null_case, lm):
    for layer in null_case.layers:
        assert null_case.matrix(3, layer).equal(lm.original(layer))
        assert float(null_case.update(2).raw[layer].norm()) == 0
