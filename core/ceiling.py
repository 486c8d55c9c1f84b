"""Upper limits of numbers in specs and options, each with its reason. Fields refer to them where they are declared.

They exclude work that would not end, sizes that no memory holds, and factors that float64 cannot tell from zero or
infinity. All are far above what any paper or model needs.
"""

FACTS = 100_000  # of one run, in a round, at a step: an edit takes a second or so, and this is more than a day of them
PER_FACT = 1_000  # paraphrases, neighbors or questions of one fact: no dataset has a hundred
ITEMS = 100_000  # of a task: more than the largest suite has
LAYERS = 1_000  # of a model, several times the deepest there is; its own number is checked once it is known
WIDTH = 2**17  # directions of a layer: twice the widest FFN there is
STEPS = 1_000  # of an optimisation: forty times as many as any paper takes, and the last of them change nothing
SAMPLED = 20_000  # tokens or prompts that are timed or sampled repeatedly
WORD_TOKENS = 1_024  # of a continuation: pages of text for each fact, some seconds each
SHOWN = 10_000  # facts whose words are shown at a round: more than a page can draw
READ_TOKENS = 100_000_000  # that are read once: days on a computer without a GPU
STATISTICS_TOKENS = 1_000_000_000  # ten times what the founding papers read
PROBE_ROWS = 2**18  # states of R_k: 8 GB at a width of 4,096
POINTS = 2_000  # of a map: t-SNE and UMAP cannot be stopped on their way, and take about a minute for these
CELLS = 1_000_000  # of a study's heat maps together: some 50 MB that a browser has to draw
SEEDS = 100  # repetitions of all of a study's work
SEED = 2**63 - 1  # random number generators take no larger ones
WEIGHT = 1e12  # of one term of an objective against another: float64 holds 16 digits, and the rest of it would be gone
RATIO = 1e9  # times a size of the same kind: a step, a norm, a share, a threshold in units of what it is compared with
