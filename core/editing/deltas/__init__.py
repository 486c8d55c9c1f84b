"""Updates on disk and as files for other tools: ledger, factors, LoRA adapters."""
