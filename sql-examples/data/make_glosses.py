#!/usr/bin/env python3
"""Write glosses.parquet: everyday words and their definitions, from the WordNet 3.0 database.

    make_glosses.py WORDNET_DIR [--out glosses.parquet]

WORDNET_DIR holds the files data.*, index.* and cntlist.rev: the folder /usr/share/wordnet of Debian's package
wordnet-base. It needs pyarrow. The same database gives the same rows.

Of each subject in QUOTAS the best-known synsets are taken: those seen most often in WordNet's tagged texts, and those
whose words WordNet itself uses most in its definitions.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# Lexicographer file number (see lexnames(5WN)) -> rows taken of it. Things that can be seen and felt come first: a
# question about them has an answer that a reader recognises.
QUOTAS = {
    "noun": {
        4: 140,  # act
        5: 380,  # animal
        6: 850,  # artifact
        7: 60,  # attribute
        8: 150,  # body
        9: 40,  # cognition
        10: 80,  # communication
        11: 80,  # event
        12: 150,  # feeling
        13: 300,  # food
        15: 60,  # location
        17: 160,  # natural object
        18: 220,  # person
        19: 120,  # phenomenon
        20: 200,  # plant
        22: 60,  # process
        25: 50,  # shape
        26: 100,  # state
        27: 110,  # substance
        28: 70,  # time
    },
    "verb": {29: 30, 30: 60, 34: 40, 35: 60, 36: 40, 37: 40, 38: 90, 39: 40, 43: 30},
    "adj": {0: 120},
    "adv": {2: 50},
}
POS_NAMES = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}

# Definitions that a demonstration should not show at random.
UNSUITABLE = re.compile(
    r"slur|offensive|obscen|vulgar|disparag|derogat|slang|sexual|genital|copulat|penis|vagina|prostitut|excre|faeces"
    r"|feces|urin|rape|kill|murder|suicid|execution|nazi|slave",
    re.IGNORECASE,
)
# A botanist's and zoologist's names, of which WordNet has thousands.
TAXON = re.compile(r"(genus|family|order|class|phylum|sub\w+|super\w+|division|kingdom) [A-Z]")
GLOSS_CHARS = range(20, 220)


@dataclass(frozen=True)
class Synset:
    """One meaning, and what it is ranked by."""

    pos: str
    subject: int
    offset: int
    words: tuple[str, ...]
    gloss: str
    fame: float


def times_seen_by_sense(path: Path) -> dict[str, int]:
    """Read cntlist.rev: how often each sense occurs in the tagged texts, by `lemma%type:subject:lex_id`."""
    counts: dict[str, int] = defaultdict(int)
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, times = line.split()
        # A satellite adjective's key also names its head; without it a few senses share a count, which only ranks them.
        counts[key.rsplit(":", 2)[0]] += int(times)
    return counts


def times_used(folder: Path) -> Counter[str]:
    """Count the words of all definitions and examples."""
    counts: Counter[str] = Counter()
    for pos in QUOTAS:
        for line in (folder / f"data.{pos}").read_text(encoding="utf-8").splitlines():
            words = re.findall(r"[a-z]+", line.partition(" | ")[2].lower())
            # A plural counts for its singular too.
            counts.update(words + [word[:-1] for word in words if word.endswith("s")])
    return counts


def sense_numbers(path: Path) -> dict[tuple[str, int], int]:
    """Read an index file: the place of a synset among a word's meanings, 1 for the most common."""
    numbers = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            fields = line.split()
            offsets = fields[-int(fields[2]) :]
            numbers.update({(fields[0], int(offset)): i for i, offset in enumerate(offsets, start=1)})
    return numbers


@dataclass(frozen=True)
class Fame:
    """Tells how well known a synset is."""

    seen: dict[str, int]
    used: Counter[str]
    numbers: dict[tuple[str, int], int]

    def of(self, words: list[str], senses: list[str], offset: int) -> float:
        """Return the sightings of the senses, plus uses of the best word, which count less for its rarer meanings."""
        uses = (self.used[word] / self.numbers.get((word, offset), 9) ** 2 for word in map(str.lower, words))
        return sum(self.seen.get(sense, 0) for sense in senses) + max(uses)


def parse(pos: str, line: str, fame: Fame) -> Synset | None:
    """Read one line of a data file (see wndb(5WN)); None for a proper name."""
    head, _, gloss = line.partition(" | ")
    fields = head.split()
    offset, subject, kind = int(fields[0]), int(fields[1]), fields[2]
    kind_number = {"n": 1, "v": 2, "a": 3, "r": 4, "s": 5}[kind]
    num_words = int(fields[3], 16)
    relations = fields[4 + 2 * num_words :]
    if "@i" in relations:
        return None
    # An adjective may end in where it may stand: "(a)", "(p)" or "(ip)".
    words = [re.sub(r"\((a|p|ip)\)$", "", word) for word in fields[4 : 4 + 2 * num_words : 2]]
    lex_ids = [int(lex_id, 16) for lex_id in fields[5 : 5 + 2 * num_words : 2]]
    senses = [f"{word.lower()}%{kind_number}:{subject:02d}:{i:02d}" for word, i in zip(words, lex_ids, strict=True)]
    # The examples follow the definition, in quotation marks.
    definition = re.split(r';\s*"|\s--\s', gloss.strip())[0].strip().rstrip(";:,")
    known = fame.of(words, senses, offset)
    return Synset(pos, subject, offset, tuple(word.replace("_", " ") for word in words), definition, known)


def is_suitable(synset: Synset) -> bool:
    """Tell whether a synset makes a good row: a definition of fair length, of no proper or scientific name."""
    return (
        len(synset.gloss) in GLOSS_CHARS
        and not synset.words[0][0].isupper()
        and not any(TAXON.match(word) for word in synset.words)
        and not UNSUITABLE.search(" ".join([synset.gloss, *synset.words]))
    )


def select(folder: Path) -> list[Synset]:
    """Return the chosen synsets in the order of their first word."""
    seen, used = times_seen_by_sense(folder / "cntlist.rev"), times_used(folder)
    chosen: list[Synset] = []
    for pos, quotas in QUOTAS.items():
        fame = Fame(seen, used, sense_numbers(folder / f"index.{pos}"))
        lines = (folder / f"data.{pos}").read_text(encoding="utf-8").splitlines()
        synsets = [parse(pos, line, fame) for line in lines if not line.startswith("  ")]
        for subject, quota in quotas.items():
            candidates = [s for s in synsets if s is not None and s.subject == subject and is_suitable(s)]
            chosen += sorted(candidates, key=lambda s: (-s.fame, s.offset))[:quota]
    return sorted(chosen, key=lambda s: (s.words[0].casefold(), s.pos, s.offset))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wordnet", type=Path, metavar="WORDNET_DIR", help="the folder with data.noun and its kin")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("glosses.parquet"))
    arguments = parser.parse_args()
    rows = select(arguments.wordnet)
    fields = [
        pa.field("id", pa.int64(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("word", "pos", "gloss")),
    ]
    table = pa.table(
        {
            "id": range(1, len(rows) + 1),
            "word": [", ".join(row.words) for row in rows],
            "pos": [POS_NAMES[row.pos] for row in rows],
            "gloss": [row.gloss for row in rows],
        },
        schema=pa.schema(fields),
    )
    pq.write_table(table, arguments.out, compression="zstd", compression_level=19)
    print(f"{arguments.out}: {table.num_rows} rows, {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
