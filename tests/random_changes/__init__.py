"""Random changes of tables with hostile names, made in ruvector and in a model, which have to agree after each.

The model is a DuckDB with plain names. `tables` makes the names and the first rows, `statements` the changes, `engines`
runs them, `hunt` compares counts and contents. Trees, expressions and comparison are those of `random_sql`.
"""
