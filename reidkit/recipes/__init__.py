"""Named recipes: how large a run is, trainings that several chapters share, and what their tables
record.

    python -m reidkit.recipes baseline --seeds 0 1 2 3 4 --out data/results/01_baseline.csv

`python -m reidkit.recipes --help` lists the others. What one chapter alone measures stands in its
room under `reidkit.chapters`.
"""
