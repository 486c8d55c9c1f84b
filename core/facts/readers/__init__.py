"""One file per source of facts. A file that exports a DATASET is a dataset (`core.facts.dataset.known`)."""
