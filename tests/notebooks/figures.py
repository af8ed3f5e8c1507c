"""Is a figure still the one that is stored?

Same pinned Matplotlib, same seed: the same picture, but for edges that another processor rounds otherwise. So a pixel may be off by
an eighth of the scale, and one in 20,000 by more; one digit of a tick label is a few times that.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

LEVELS = 32
SHARE = 5e-5


def images(outputs: Sequence[Mapping[str, Any]]) -> list[np.ndarray]:
    encoded = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), dtype=int) for png in encoded]


def differences(stored: Sequence[Mapping[str, Any]], fresh: Sequence[Mapping[str, Any]]) -> list[str]:
    """What sets the fresh figures of a cell apart from its stored ones, in words; nothing if they agree."""
    old, new = images(stored), images(fresh)
    if len(old) != len(new):
        return [f"{len(old)} figures are stored and {len(new)} were drawn"]
    problems = []
    for number, (a, b) in enumerate(zip(old, new, strict=True), start=1):
        if a.shape != b.shape:
            problems.append(f"figure {number} was {a.shape[1]}×{a.shape[0]} pixels and is {b.shape[1]}×{b.shape[0]}")
            continue
        share = float(np.mean(np.abs(a - b).max(axis=-1) > LEVELS))
        if share > SHARE:
            problems.append(f"figure {number} differs in {share:.3%} of its pixels")
    return problems
