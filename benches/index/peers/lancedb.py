"""LanceDB: a table on disk with an IVF_RQ index, read through the page cache."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lancedb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from benches.index.data import Dataset, K, Mask, Matrix
from benches.index.index import Index, Search, SearchBatch, Setting, ladder, product
from lancedb.index import Bitmap
from lancedb.index import IvfRq as IvfRqConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = ["id", "_distance"]


class IvfRq(Index):
    library = "lancedb"
    kind = "lancedb IVF_RQ"

    def __init__(self, data: Dataset) -> None:
        super().__init__(data)
        self.nlist = max(1, round(len(data.base) ** 0.5))

    @property
    def variant(self) -> str:
        return f"num_partitions={self.nlist}"

    def build(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="lancedb.")
        base = self.data.base
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(base.ravel()), self.data.dim)
        table = {"id": pa.array(np.arange(len(base))), "vector": vectors}
        # A filter is a column here: it is written with the rows and has an index of its own.
        self.columns = {mask.tobytes(): f"allowed_{i}" for i, mask in enumerate(self.data.masks.values())}
        table |= {f"allowed_{i}": pa.array(mask) for i, mask in enumerate(self.data.masks.values())}
        self.table = lancedb.connect(self.folder.name).create_table("vectors", pa.table(table))
        self.table.create_index("vector", config=IvfRqConfig(num_partitions=self.nlist))
        self.table.prewarm_index("vector_idx")

    def num_bytes(self) -> int:
        files = (Path(folder) / name for folder, _, names in os.walk(self.folder.name) for name in names)
        return sum(file.stat().st_size for file in files)

    def chains(self) -> Sequence[Sequence[Setting]]:
        return product("refine_factor", (5, 20), "nprobes", ladder(1, self.nlist, 2.0))

    def query(self, query: Any, setting: Setting) -> Any:
        """Return the query of `query`, one vector or a list of them."""
        request = self.table.search(query, vector_column_name="vector").select(COLUMNS).limit(K)
        return request.nprobes(setting["nprobes"]).refine_factor(setting["refine_factor"])

    def search(self, setting: Setting, allowed: Any = None) -> Search:
        if allowed is None:
            return lambda query: self.query(query, setting).to_arrow()
        return lambda query: self.query(query, setting).where(allowed, prefilter=True).to_arrow()

    def search_batch(self, setting: Setting) -> SearchBatch:
        def many(queries: Matrix) -> npt.NDArray[Any]:
            answer = self.query(list(queries), setting).to_arrow()
            rows, ids = answer["query_index"].to_numpy(), answer["id"].to_numpy()
            order = np.argsort(rows, kind="stable")
            places = np.arange(len(rows)) - np.searchsorted(rows[order], rows[order])
            out = np.full((len(queries), K), -1, np.int64)
            out[rows[order], places] = ids[order]
            return out

        return many

    def ids(self, answer: Any) -> npt.NDArray[Any]:
        return answer["id"].to_numpy()

    def prepare_filter(self, mask: Mask) -> Any:
        column = self.columns[mask.tobytes()]
        self.table.create_index(column, config=Bitmap())
        return column

    def close(self) -> None:
        self.folder.cleanup()
