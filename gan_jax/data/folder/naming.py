"""Tell from names and content what class a file is of, and whether it is trained on or held out."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.data.dataset import DataError

_PARTS = {"train", "training", "test", "val", "valid", "validation"}


class Naming(NamedTuple):
    """What names mean. Expressions are searched in a name such as cats/tabby_1.png; a match's group 1 counts, if any.

    Attributes:
      label_by: regular expression whose match names the class; "" takes the sub-folder; "none" leaves classes out.
      held_out: share of the files that is never trained on.
      held_out_names: regular expression: the files whose names match are held out, and no others.
      group_by: regular expression: files that match alike (an object's views, a speaker's takes) fall on one side.
      classes: the classes to take, all others are left out; () takes all.
    """

    label_by: str = ""
    held_out: float = 0.1
    held_out_names: str = ""
    group_by: str = ""
    classes: tuple[str, ...] = ()


def classes_of(names: Sequence[str], naming: Naming) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Number the classes of files, in the order of their names (as numbers, if all are).

    Args:
      names: of the files, with slashes.
      naming: `label_by` counts.

    Returns:
      labels int32 [N] and the names of the classes; None and () where there are no classes, or only one.

    Raises:
      DataError: names do not say what class each file is of.
    """
    if naming.label_by == "none":
        return None, ()
    found = _by_expression(names, naming.label_by) if naming.label_by else _by_folder(names)
    distinct = set(found)
    if len(distinct) < 2:
        return None, ()
    ordered = sorted(distinct, key=int if all(map(_is_number, distinct)) else None)
    numbers = {name: number for number, name in enumerate(ordered)}
    return np.array([numbers[name] for name in found], np.int32), tuple(ordered)


def of_classes(
    labels: np.ndarray | None, class_names: tuple[str, ...], wanted: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Choose some classes, and number them anew in their old order.

    Args:
      labels: int32 [N], or None.
      class_names: of the labels.
      wanted: some of the names.

    Returns:
      Which samples are of these classes, int [M]; their labels, int32 [M], and the names of the classes, None and ()
      if there is one only.

    Raises:
      DataError: there is no class of such a name.
    """
    unknown = [name for name in wanted if name not in class_names]
    if labels is None or unknown:
        known = ", ".join(class_names) or "none"
        raise DataError(
            f"expected --classes from {known}, got {', '.join(unknown)}; choose among those"
        )
    numbers = [number for number, name in enumerate(class_names) if name in wanted]
    chosen = np.flatnonzero(np.isin(labels, numbers))
    if len(numbers) < 2:
        return chosen, None, ()
    anew = np.searchsorted(numbers, labels[chosen]).astype(np.int32)
    return chosen, anew, tuple(class_names[number] for number in numbers)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 10


def _by_expression(names: Sequence[str], expression: str) -> list[str]:
    found = [_match(expression, name) for name in names]
    if None in found:
        raise DataError(
            f"{names[found.index(None)]}: expected a name with a match of --label_by={expression}, got none; "
            "mend the expression, or leave classes out by --label_by=none"
        )
    return found


def _by_folder(names: Sequence[str]) -> list[str]:
    """Take the sub-folder; folders that all files share say nothing."""
    parts = [name.split("/") for name in names]
    while all(len(each) > 1 for each in parts) and len({each[0] for each in parts}) == 1:
        parts = [each[1:] for each in parts]
    depths = {len(each): name for each, name in zip(parts, names, strict=True)}
    first = {each[0] for each in parts}
    remedy = "name the folder above the classes by --data_dir, or the class by --label_by (none: no classes)"
    if max(depths) > 2:
        raise DataError(
            f"{depths[max(depths)]}: expected files in one folder, or in one sub-folder for each class, got folders "
            f"in folders; {remedy}"
        )
    if len(depths) > 1:
        raise DataError(
            f"expected all files in one folder, or each in the sub-folder of its class, got {depths[1]} and "
            f"{depths[2]}; move them, or {remedy}"
        )
    if 2 in depths and first <= _PARTS and len(first) > 1:
        raise DataError(
            f"expected a sub-folder for each class, got the parts {' and '.join(sorted(first))} of a data set; name "
            "one by --data_dir, or all and --label_by=none --held_out_names=^test/"
        )
    return [each[0] if len(each) == 2 else "" for each in parts]


def is_held_out(names: Sequence[str], digests: Sequence[bytes], naming: Naming) -> np.ndarray:
    """Choose what is never trained on, by a hash of content or group, whatever the files are called.

    Groups are taken in the order of their hashes as long as they fit into the share. Equal files are one group, unless
    `group_by` or `held_out_names` parts them.

    Args:
      names: of N >= 2 files.
      digests: SHA-256 of their content.
      naming: all but `label_by` counts.

    Returns:
      bool [N].

    Raises:
      DataError: there are fewer than two files, `held_out_names` matches all of them or none, or all are one group.
    """
    if len(names) < 2:
        raise DataError(f"{names[0]}: expected at least 2 files, to hold one out, got only this")
    if naming.held_out_names:
        chosen = np.array([re.search(naming.held_out_names, name) is not None for name in names])
        if chosen.all() or not chosen.any():
            got = "every" if chosen.all() else "no"
            raise DataError(
                f"expected some names to match --held_out_names={naming.held_out_names}, got {got} one; mend the "
                f"expression: the first name is {names[0]}"
            )
        return chosen
    groups = Counter(_group(*each, naming.group_by) for each in zip(names, digests, strict=True))
    if len(groups) == 1:
        raise DataError(
            f"expected some files to hold out, got {len(names)} that are one group, the first {names[0]}: equal, or "
            f"alike by --group_by={naming.group_by}; mend the expression, or add other files"
        )
    chosen = _fill(groups, max(1, round(naming.held_out * len(names))))
    pairs = zip(names, digests, strict=True)
    return np.array([_group(*each, naming.group_by) in chosen for each in pairs])


def _fill(groups: dict[bytes, int], room: int) -> set[bytes]:
    """Choose the groups that fit, in order; one of the smallest if none does, and never all."""
    chosen: set[bytes] = set()
    for group in sorted(groups):
        if groups[group] <= room and len(chosen) + 1 < len(groups):
            chosen.add(group)
            room -= groups[group]
    return chosen or {min(groups, key=lambda group: (groups[group], group))}


def _group(name: str, digest: bytes, group_by: str) -> bytes:
    """A hash that files of one group share."""
    group = _match(group_by, name) if group_by else None
    if group is None:
        return digest
    return hashlib.sha256(group.encode("utf-8", "surrogateescape")).digest()


def _match(expression: str, name: str) -> str | None:
    found = re.search(expression, name)
    return None if found is None else found[1 if found.re.groups else 0]
