"""Updates on disk and as files for others: ledger, factors, LoRA adapters."""
