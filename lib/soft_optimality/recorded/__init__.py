"""Long runs that the book replays, and the measurements of its appendix.  The scripts that recorded them are in benchmarks/."""

import csv
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def load(name: str) -> Any:
    """What was recorded as `name`: a .json file as it is, a .csv file as a list of rows, each a dict of strings.  ValueError for others."""
    names = sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".csv", ".json"))
    if name not in names:
        raise ValueError(f"name = {name!r}: must be one of {', '.join(names)}")
    text = (FOLDER / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else list(csv.DictReader(text.splitlines()))
