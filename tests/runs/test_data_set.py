"""What a published table has for a data set is taken for facts of that data set, and told."""

from dataclasses import replace

from core.editing.settings.defaults import ModelInfo
from core.facts.fact import Fact
from core.facts.source import FactSet
from core.runs.engine.run_context import data_set, of_data_set

LLAMA_3 = ModelInfo("meta-llama/Meta-Llama-3-8B", "llama", 32, 4096, 128256)
LOW = {"method": "emmet", "prior": "lowrank"}


def of(*sources: str) -> str:
    return data_set(FactSet([Fact(subject="a", prompt="{} b", target="c", source=source) for source in sources], []))


def test_the_data_set_is_that_of_all_facts():
    assert of("zsre", "zsre") == "zsre"
    assert of("zsre", "typed") == of() == ""


def test_a_lane_says_which_column_it_took():
    assert of_data_set(LOW, replace(LLAMA_3, facts="zsre")).startswith(
        "r₀ = 3,875: FastEdit, Table 3, for Llama-3-8B on ZsRE"
    )
    assert "to neither data set" in of_data_set(LOW, replace(LLAMA_3, facts="typed"))
    assert of_data_set({**LOW, "prior": {"name": "lowrank", "rank": 5}}, LLAMA_3) == ""
    assert of_data_set({**LOW, "prior": {"name": "lowrank", "energy": 0.5}}, LLAMA_3) == ""
    assert of_data_set({"method": "emmet"}, LLAMA_3) == of_data_set(LOW, ModelInfo("own", "llama", 2)) == ""
