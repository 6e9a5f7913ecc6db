"""A state as named arrays on the host, with a description and a checksum of each, and the way back.

Empty subtrees count as leaves that have a name and a description and no bytes. So `{}` and `EmptyState()`
are told apart like any two shapes.
"""

import zlib
from typing import Any

import jax
import numpy as np

from gan_jax.checkpoint.error import CheckpointError

Record = dict[
    str, dict[str, Any]
]  # name of a leaf -> its description, and for an array its checksum


def named_leaves(tree: Any) -> dict[str, Any]:
    """Return path -> leaf in the order of flattening; a subtree without leaves is a leaf."""

    def is_empty(subtree: Any) -> bool:
        return jax.tree.structure(subtree).num_leaves == 0

    paths, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_empty)
    return {jax.tree_util.keystr(path): leaf for path, leaf in paths}


def describe(leaf: Any, name: str = "") -> str:
    """Return dtype and shape, as `float32[3,4]`, or `empty dict` for a subtree without leaves.

    Args:
      leaf: an array, abstract or not, or an empty subtree.
      name: the leaf's, for the message.

    Raises:
      CheckpointError: the leaf is something else, such as a Python number.
    """
    if hasattr(leaf, "dtype") and hasattr(leaf, "shape"):
        return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
    if jax.tree.structure(leaf).num_leaves:
        raise CheckpointError(f"leaf {name} must be an array, got {type(leaf).__name__}")
    return f"empty {type(leaf).__name__}"


def to_host(state: Any) -> tuple[dict[str, np.ndarray], Record]:
    """Bring a state's arrays to the host and checksum them.

    Args:
      state: pytree of arrays, each whole in this process or replicated over all processes.

    Returns:
      name -> array, for the arrays that have bytes (on a CPU a view, valid until the state is donated);
      and the record of all leaves.

    Raises:
      CheckpointError: a leaf is no array, or is split over processes, or there is no array with bytes.
    """
    arrays, record = {}, {}
    for name, leaf in named_leaves(state).items():
        record[name] = {"is": describe(leaf, name)}
        if hasattr(leaf, "dtype"):
            if _is_key(leaf):
                record[name]["key_impl"] = str(jax.random.key_impl(leaf))
            array = _host_array(name, leaf)
            record[name] |= {"bytes_are": describe(array), "crc32": _crc32(array)}
            if array.size:  # Orbax refuses empty arrays
                arrays[name] = array
    if not arrays:
        raise CheckpointError("a state without arrays cannot be saved")
    return arrays, record


def compare(record: Record, like_state: Any) -> str | None:
    """Return what first differs between a record and a state, or None.

    Args:
      record: as from `to_host`.
      like_state: pytree of arrays, abstract or not.
    """
    like = {name: describe(leaf, name) for name, leaf in named_leaves(like_state).items()}
    for name in [*like, *(name for name in record if name not in like)]:
        received = record[name]["is"] if name in record else "nothing"
        expected = like.get(name, "nothing")
        if received != expected:
            return f"{name or 'the state'} has {received}, expected {expected}"
    return None


def damage(record: Record, arrays: dict[str, np.ndarray]) -> str | None:
    """Return what first differs between a record and the arrays that were read, or None.

    Args:
      record: as from `to_host`.
      arrays: name -> array; more of them than the record has do no harm.
    """
    for name, entry in record.items():
        if "crc32" in entry and (name in arrays or _has_bytes(entry)):
            if name not in arrays:
                return f"{name} is missing"
            if describe(arrays[name]) != entry["bytes_are"]:
                return f"{name} has {describe(arrays[name])}, expected {entry['bytes_are']}"
            if (crc := _crc32(arrays[name])) != entry["crc32"]:
                return f"CRC-32 of {name} is {crc}, expected {entry['crc32']}"
    return None


def with_bytes(record: Record) -> list[str]:
    """Return the names of the leaves that are on disk: arrays that are not empty.

    Args:
      record: as from `to_host`.
    """
    return [name for name, entry in record.items() if "crc32" in entry and _has_bytes(entry)]


def to_state(record: Record, arrays: dict[str, np.ndarray], like_state: Any) -> Any:
    """Put arrays in the places of a state's leaves, with their structure and shardings.

    Args:
      record: of which `compare` and `damage` have found nothing wrong.
      arrays: name -> array.
      like_state: see `Checkpoints.restore`.
    """
    leaves = []
    for name, like in named_leaves(like_state).items():
        if hasattr(like, "dtype"):  # empty subtrees are part of the structure
            array = arrays[name] if name in arrays else np.zeros(like.shape, like.dtype)
            leaves.append(_place(array, like, record[name].get("key_impl")))
    return jax.tree.unflatten(jax.tree.structure(like_state), leaves)


def _has_bytes(entry: dict[str, Any]) -> bool:
    shape = entry["bytes_are"].partition("[")[2].removesuffix("]")
    return "0" not in shape.split(",")


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _crc32(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _host_array(name: str, leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array):
        if not (leaf.is_fully_addressable or leaf.is_fully_replicated):
            raise CheckpointError(f"{name} is split over processes: replicate it first")
        leaf = jax.random.key_data(leaf) if _is_key(leaf) else leaf
    return np.asarray(leaf)


def _place(array: np.ndarray, like: Any, key_impl: str | None) -> Any:
    if isinstance(like, np.ndarray | np.generic):
        return array if isinstance(like, np.ndarray) else array[()]
    # An uncommitted array may still follow others to their devices; a committed one may not.
    sharding = like.sharding if getattr(like, "committed", True) else None
    if sharding is None or sharding.is_fully_addressable:
        placed = jax.device_put(array, sharding)
    else:
        placed = jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])
    return placed if key_impl is None else jax.random.wrap_key_data(placed, impl=key_impl)
