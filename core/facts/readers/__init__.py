"""One file per source of facts. A file that exports a DATASET is found by that (`core.facts.dataset.known`)."""
