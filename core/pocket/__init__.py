"""How the embedded world and its model are made: world → tokenizer → corpus and tasks → training → card.

`python -m core pocket build | train | card` walks these steps. Only `model`, `train` and `card` need torch.
"""
