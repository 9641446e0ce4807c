"""Random SELECT statements, run by ruvector and by DuckDB, which have to agree.

`tables` makes the data, `statements` the statements (as trees, `tree`), `engines` runs them, `compare` judges the two
outcomes, `known` lists the differences that are right or not mended yet, `shrink` reduces a statement that differs.
"""
