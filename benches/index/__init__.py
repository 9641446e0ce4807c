"""Runs ruvector's indexes and their peers side by side on the same data, and writes what came out.

It measures; it tunes nothing by itself. In travel order: `corpus` and `embed` make the real text, `data` the data sets
with their exact answers; `index` says what every competitor can do, `ours` and `peers` do it; `measure` checks and
times; `filtered` and `roofline` are two measurements of their own; `results` holds what was measured, `targets` judges
it, `table` and `plots` show it.
"""
