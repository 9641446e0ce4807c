"""Answer questions over a Parquet file by DuckDB: a vector a line in, its ten nearest rows and the time out."""

from __future__ import annotations

import json
import sys
import time

import duckdb

path, threads = sys.argv[1], int(sys.argv[2])
con = duckdb.connect(config={"threads": threads})
print(json.dumps({"version": duckdb.__version__, "threads": threads}), flush=True)
for line in sys.stdin:
    query = json.loads(line)
    dim = len(query)
    sql = f"SELECT id FROM read_parquet('{path}') ORDER BY array_distance(vec::FLOAT[{dim}], ?::FLOAT[{dim}]) LIMIT 10"
    start = time.perf_counter()
    rows = con.execute(sql, [query]).fetchall()
    seconds = time.perf_counter() - start
    print(json.dumps({"ids": [row[0] for row in rows], "seconds": seconds}), flush=True)
