"""How a model is edited: keys, values, layer statistics, methods, guards, and the ledger of what was done."""
