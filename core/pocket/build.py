"""From a seed to a folder: world, tokenizer, statistics corpus, held-out text and tasks."""

from pathlib import Path

from .corpus import carrier_texts, epoch_sentences, held_out_prompts, real_names, syllables, text_rows
from .tasks import all_tasks, write_tasks
from .tokenizer import make_tokenizer
from .world import POPULATION, World, build_world, write_world

CORPUS_CHARACTERS = 280_000  # for layer statistics
HELD_OUT_CHARACTERS = 40_000  # for perplexity


def build(out: Path, seed: int = 0, population: int = POPULATION) -> World:
    """Write `world/`, `tasks/` and the tokenizer (into `model/`) under `out`; return the world."""
    world = build_world(seed, population)
    tasks = all_tasks(world)
    tokenizer = make_tokenizer(carrier_texts(world, tasks, seed), syllables(), real_names(world))
    write_world(world, out / "world")
    write_tasks(tasks, out / "tasks", seed)
    tokenizer.save_pretrained(str(out / "model"))
    forbidden = held_out_prompts(tasks, seed)
    for name, size in (("corpus", CORPUS_CHARACTERS), ("heldout", HELD_OUT_CHARACTERS)):
        # Other keys than any epoch of training, so that no row of these texts is a training row.
        sentences = epoch_sentences(world, tasks, forbidden, f"{name}-{seed}")
        (out / "world" / f"{name}.txt").write_text(text_rows(sentences, tokenizer, size), encoding="utf-8")
    return world
