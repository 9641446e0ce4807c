"""The same questions to ruvector and to Sail, both over Arrow Flight SQL, by one client.

    sail_peer.py ADDRESS FILE ROUNDS

ADDRESS is ruvector's, whose table `docs` is the Parquet file FILE. One line of JSON for each question: the median
seconds of both, and whether their answers are equal.
"""

import json
import socket
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import flight

STATEMENT = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"


def field(number: int, value: bytes) -> bytes:
    """Encode a length-delimited field of a protobuf message."""
    length, size = b"", len(value)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def ask(client: flight.FlightClient, sql: str) -> pa.Table:
    """Fetch all rows of a statement, by Flight SQL."""
    command = field(1, STATEMENT) + field(2, field(1, sql.encode()))
    info = client.get_flight_info(flight.FlightDescriptor.for_command(command))
    return client.do_get(info.endpoints[0].ticket).read_all()


def seconds(client: flight.FlightClient, sql: str, rounds: int) -> list[float]:
    """Time each of some rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        ask(client, sql)
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Ask both, and compare."""
    address, path, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sail = Path(sysconfig.get_path("scripts")) / "sail"
    command = [sail, "flight", "server", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            ours, theirs = flight.FlightClient(address), flight.FlightClient(f"grpc://127.0.0.1:{port}")
            theirs.wait_for_available(60)
            vector = pq.read_table(path).slice(7, 1).column("vec")[0].as_py()
            literal = ", ".join(map(repr, vector))
            floats = ", ".join(f"CAST({x!r} AS FLOAT)" for x in vector)
            lists = "CAST(vec AS ARRAY<FLOAT>)"
            questions = {
                "the 10 nearest of a Parquet file": (
                    f"SELECT id FROM docs ORDER BY l2_distance(vec, [{literal}]) LIMIT 10",
                    f"SELECT id FROM parquet.`{path}` ORDER BY vector_l2_distance({lists}, array({floats})) LIMIT 10",
                ),
                "all rows of a Parquet file": ("SELECT id, vec FROM docs", f"SELECT id, vec FROM parquet.`{path}`"),
            }
            for name, (our_sql, their_sql) in questions.items():
                our_ids, their_ids = (
                    ask(client, sql).column("id").to_pylist() for client, sql in ((ours, our_sql), (theirs, their_sql))
                )
                if "nearest" not in name:
                    our_ids, their_ids = sorted(our_ids), sorted(their_ids)
                our_seconds, their_seconds = seconds(ours, our_sql, rounds), seconds(theirs, their_sql, rounds)
                found = {
                    "question": name,
                    "equal": our_ids == their_ids,
                    "ours": statistics.median(our_seconds),
                    "theirs": statistics.median(their_seconds),
                }
                print(json.dumps(found), flush=True)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
