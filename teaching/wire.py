"""What may pass between the grader and a submission: data, never code from the submission.

A message is a length and a JSON text.  Numbers, texts, arrays, containers and the library's own records keep their types; anything else of
the submission's stays where it is and is known by a number (a `Remote`).  The grader may send what it likes, pickled: only the
submission, inside its sandbox, unpickles.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import struct
import sys
from collections.abc import Callable
from typing import IO, Any

import cloudpickle
import numpy as np
from numpy import generic, ndarray
from scipy import sparse

LARGEST = 64 * 2**20  # bytes in one message
PLAIN = (type(None), bool, int, float, str)
NUMERIC = "biufc"  # kinds of array that are numbers and nothing else; texts ("U") are allowed as well


class BadMessage(Exception):
    """Bytes that are no message."""


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    stream.write(struct.pack(">Q", len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any]:
    """The next message.  EOFError at the end, BadMessage for anything else."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    (length,) = struct.unpack(">Q", head)
    if length > LARGEST:
        raise BadMessage(f"a message of {length} bytes; at most {LARGEST} are taken")
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadMessage(str(error)) from None
    if not isinstance(message, dict):
        raise BadMessage("not a message")
    return message


def encode(value: Any, other: Callable[[Any], dict[str, Any]]) -> Any:
    """JSON for a value; `other` says what to do with what is not data."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, complex) and type(value) is complex:
        return {"complex": [value.real, value.imag]}
    if isinstance(value, ndarray | generic) and value.dtype.kind in NUMERIC + "U" and value.dtype.itemsize:
        # No function of numpy's here: a submission may have put another in its place.
        return {"scalar" if isinstance(value, generic) else "array": [value.dtype.str, list(value.shape), base64.b64encode(value.tobytes()).decode()]}
    if type(value) in (list, tuple):
        return {type(value).__name__: [encode(item, other) for item in value]}
    if type(value) is dict:
        return {"dict": [[encode(key, other), encode(item, other)] for key, item in value.items()]}
    if sparse.issparse(value):
        csr = sparse.csr_array(value)
        return {"sparse": [encode(part, other) for part in (csr.data, csr.indices, csr.indptr)] + [list(csr.shape)]}
    kind = type(value)
    if record(kind.__module__, kind.__name__) is kind:
        fields = {field.name: encode(getattr(value, field.name), other) for field in dataclasses.fields(value) if field.init}
        return {"record": [kind.__module__, kind.__name__, fields]}
    return other(value)


def decode(message: Any, other: Callable[[dict[str, Any]], Any]) -> Any:
    """The value of a JSON.  BadMessage where it is none."""
    try:
        return _decode(message, other)
    except BadMessage:
        raise
    except Exception as error:
        raise BadMessage(f"{type(error).__name__}: {error}") from None


def _decode(message: Any, other: Callable[[dict[str, Any]], Any]) -> Any:
    if type(message) in PLAIN:
        return message
    ((tag, content),) = message.items()
    if tag == "complex":
        return complex(*content)
    if tag in ("array", "scalar"):
        dtype = np.dtype(content[0])
        if dtype.kind not in NUMERIC + "U":
            raise BadMessage(f"an array of {dtype}")
        array = np.frombuffer(base64.b64decode(content[2]), dtype).reshape(content[1]).copy()
        return array if tag == "array" else array[()]
    if tag == "list":
        return [_decode(item, other) for item in content]
    if tag == "tuple":
        return tuple(_decode(item, other) for item in content)
    if tag == "dict":
        return {_decode(key, other): _decode(item, other) for key, item in content}
    if tag == "sparse":
        data, indices, indptr = (_decode(part, other) for part in content[:3])
        return sparse.csr_array((data, indices, indptr), shape=tuple(content[3]))
    if tag == "record":
        kind = record(content[0], content[1])
        if kind is None:
            raise BadMessage(f"an unknown record {content[1]}")
        return kind(**{name: _decode(item, other) for name, item in content[2].items()})
    return other(message)


def record(module: str, name: str) -> Any:
    """The library's dataclass of this name, or None."""
    kind = getattr(sys.modules.get(module), name, None) if module.startswith("soft_optimality.") else None
    return kind if isinstance(kind, type) and dataclasses.is_dataclass(kind) else None


def pickled(value: Any) -> dict[str, Any]:
    return {"pickle": base64.b64encode(cloudpickle.dumps(value)).decode()}
