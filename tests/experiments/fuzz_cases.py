"""Nonsense by construction: command lines, flag files, run folders and data that no program may accept."""

import gzip
import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from commands import TINY
from idx_files import idx_bytes, some_images, some_labels, write_set

from experiments.command.config import CROSS_ENTROPIES, INCIDENTAL, LATER
from experiments.command.shared_flags import LOSSES
from experiments.record.resumption import CONTINUABLE

SEED = 0


class Case(NamedTuple):
    """One call that must fail.

    Attributes:
      kind: what is wrong.
      name: which of that kind, for the report.
      program: whose `main` is called.
      arguments: the command line; {place} stands for a folder of the case's own, of which {place}/run may be a run.
      prepare: does the damage in that folder.
      has_run: whether {place}/run is a sound run before the damage.
    """

    kind: str
    name: str
    program: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], object] = lambda place: None
    has_run: bool = False


RUN = "--workdir={place}/run"
TRAINING = (*TINY, "--compilation_cache=", RUN)

BAD_VALUES = {
    "int": ("", " ", "eight", "1.5", "-1", "nan", "inf", "1e3", "0x", "1,2", "1 2", "None", "9" * 40, "½", "--"),
    "float": ("", " ", "much", "nan", "inf", "-inf", "1e999", "-1", "1,5", "1.2.3", "0x1p3", "None", "1e", "%"),
    "bool": ("maybe", "2", "-1", "None", "yes", "tru", "[]"),
    "string enum": ("", " ", "nonsense", "None", "0", "*"),
}  # fmt: skip


def bad_flags(program: str, common: tuple[str, ...], values: Any) -> Iterator[Case]:
    """Each flag of a program with values that it cannot have, misspelt, or without a value.

    Args:
      program: its name.
      common: the rest of the command line.
      values: the program's `FlagValues`.
    """
    own = [
        flag
        for module in ("experiments", f"fuzzed_{program}")
        for flag in _flags_of(values, module)
    ]
    for flag in own:
        bad = list(BAD_VALUES.get(flag.flag_type(), ()))
        if flag.flag_type() == "string enum":
            choice = flag.parser.enum_values[0]
            bad += [choice.upper(), f"{choice} ", f"{choice},{choice}", choice[:-1]]
        for value in bad:
            argument = f"--{flag.name}={value}"
            yield Case("flag values", argument, program, (*common, argument))
        for misspelt in (f"{flag.name}z", flag.name[:-1] + "-", f"no_{flag.name}", f"{flag.name} "):
            if misspelt not in values:
                argument = f"--{misspelt}=1"
                yield Case("unknown flags", argument, program, (*common, argument))
        if not flag.boolean:
            yield Case("flag values", f"--{flag.name}", program, (*common, f"--{flag.name}"))
            yield Case("unknown flags", f"--no{flag.name}", program, (*common, f"--no{flag.name}"))


def _flags_of(values: Any, module: str) -> Iterator[Any]:
    for name, flags in values.flags_by_module_dict().items():
        if name.split(".")[0] == module:
            yield from flags


WORDS = (
    "train",
    "3",
    "digits",
    "seed=3",
    "=",
    "-",
    "'",
    "*.flags",
    "{place}",
    "train help",
    "\u2014seed=3",
)


def positionals() -> Iterator[Case]:
    """Words that are no flags."""
    for word in WORDS:
        yield Case("positionals", word, "mnist", (*TRAINING, word))
    yield Case("positionals", "-- --seed=3", "mnist", (*TRAINING, "--", "--seed=3"))
    for program in ("gaussians", "sample", "evaluate"):
        for word in WORDS[:3]:
            yield Case("positionals", f"{program} {word}", program, (RUN, word))


def flagfiles(text: str) -> Iterator[Case]:
    """Flag files that are missing, garbage, or a sound one with one line spoilt.

    Args:
      text: the sound one.
    """
    draw = random.Random(SEED)
    lines = text.splitlines()

    def case(name: str, content: bytes) -> Case:
        arguments = (*TRAINING, "--flagfile={place}/a.flags")
        return Case(
            "flag files", name, "mnist", arguments, lambda place: (place / "a.flags").write_bytes(content)
        )  # fmt: skip

    for path in ("/no/such/file", "{place}", "", "{place}/" + "x" * 300, "/dev/null/x"):
        yield Case("flag files", f"at {path}", "mnist", (*TRAINING, f"--flagfile={path}"))
    for number in range(15):
        yield case(f"random bytes {number}", b"x" + draw.randbytes(60))
        position = draw.randrange(len(lines))
        spoilt = [line.encode() for line in lines]
        spoilt.insert(position, b"\xff\xfe" + draw.randbytes(9).replace(b"\n", b"x"))
        yield case(f"random bytes after line {position}", b"\n".join(spoilt))
    for number, line in enumerate(lines):
        name, _, value = line.partition("=")
        strings = (
            "--workdir",
            "--data_dir",
            "--dataset",
            "--compilation_cache",
            "--data_cache",
            "--coordinator_address",
        )
        bad = [line[2:], f"{name[:-1]}?={value}", line.replace("--", "==")]
        bad += [f"{name}=?"] if value and name not in strings else []
        for spoilt in bad:
            changed = [*lines[:number], spoilt, *lines[number + 1 :]]
            yield case(spoilt, "\n".join(changed).encode())
    yield case("workdir with a zero byte", b"--workdir=a\0b\n")
    yield case("data_dir with a zero byte", b"--dataset=mnist\n--data_dir=a\0b\n")


def combinations() -> Iterator[Case]:
    """Flags that are sound one by one, and not together or not here."""
    together = [
        *((f"--{label}", f"--loss={loss}") for loss in LOSSES if loss not in CROSS_ENTROPIES
          for label in ("real_label=0.9", "fake_label=0.1")),
        *((f"--update={update}", "--n_dis=2") for update in ("article", "one_stage")),
        *(("--update=article", f"--{penalty}=1") for penalty in
          ("r1_gamma", "r2_gamma", "gp_weight", "dragan_weight")),
        *((f"--dataset={name}",) for name in ("ring", "grid", "swiss_roll", "moons", "gaussian_1d")),
        *((f"--dataset={name}", "--data_dir=/nowhere") for name in
          ("mnist", "fashion_mnist", "", " ", "..", "../mnist", "/etc", "no such", "a/b/c", "-x", "x\n", "mnist\0")),
        *(("--dataset=mnist", f"--data_dir={folder}") for folder in
          ("", "/dev/null", "{place}", "{place}/none", "x" * 300, "~nosuchuser/x")),
        ("--num_devices=1000",),
        ("--num_processes=2",),
        ("--process_id=1",),
        *((f"--coordinator_address={address}",) for address in
          ("host", ":1", "host:", "host:0", "host:99999", "host:port", "host:-1", "1", " ")),
        ("--coordinator_address=host:1", "--process_id=2", "--num_processes=2"),
    ]  # fmt: skip
    for flags in together:
        yield Case("combinations", " ".join(flags), "mnist", (*TRAINING, *flags))
    for flags in (
        ("--dataset=digits",), ("--dataset=mnist",), ("--dataset=gaussian_1d",), ("--dataset=",), ("--network=dcgan",),
        ("--network=article",), ("--network=mlp", "--update=article", "--gp_weight=1"),
    ):  # fmt: skip
        yield Case("combinations", f"gaussians {flags}", "gaussians", (*TRAINING[3:], *flags))


def workdirs(flags: dict[str, Any]) -> Iterator[Case]:
    """Folders that cannot be a run's, or are another's.

    Args:
      flags: the run's own, by name.
    """
    strange: dict[str, Callable[[Path], object]] = {
        "a file": lambda place: (place / "run").write_text(""),
        "other files": lambda place: _write(place / "run" / "thesis.tex", "precious"),
        "a loop": lambda place: (place / "run").symlink_to(place / "run"),
        "checkpoints alone": lambda place: (place / "run" / "checkpoints").mkdir(parents=True),
    }
    for name, prepare in strange.items():
        yield Case("run folders", name, "mnist", TRAINING, prepare)
    yield Case(
        "run folders", "below a file", "mnist", (*TRAINING, RUN + "/x"), strange["a file"]
    )  # fmt: skip
    for path in ("/dev/null", "/dev/null/x", "/proc/x", "~nosuchuser/x", "{place}/" + "x" * 300):
        yield Case("run folders", path, "mnist", (*TRAINING, f"--workdir={path}"))
    for name, value in flags.items():
        if name not in (*INCIDENTAL, *CONTINUABLE) and (argument := _another(name, value)):
            yield Case("another run's", argument, "mnist", (*TRAINING, argument), has_run=True)
    fewer = (*TRAINING, "--num_steps=3")  # than it has taken
    yield Case("another run's", "--num_steps=3", "mnist", fewer, has_run=True)


def _another(name: str, value: Any) -> str | None:
    choices = {"loss": "minimax", "network": "dcgan", "update": "one_stage", "lr_schedule": "linear",
               "dtype": "bfloat16", "fake_label": 0.25, "real_label": 0.75, "b1": 0.25, "b2": 0.75}  # fmt: skip
    if name in choices:
        return f"--{name}={choices[name]}"
    if isinstance(value, str):  # a name, for which there is no other that is sure to be sound
        return None
    return f"--{name}={3 if value is None else value * 2 + 1}"


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _replaced(record: dict, path: tuple[str, ...], value: Any) -> str:
    """The record as JSON with one entry replaced; `...` removes it."""
    copy = json.loads(json.dumps(record))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return json.dumps(copy)


def damaged_records(text: str) -> Iterator[tuple[str, bytes]]:
    """run.json in ruins: name, content.

    Args:
      text: the sound one.
    """
    draw, raw, record = random.Random(SEED), text.encode(), json.loads(text)
    for _ in range(12):
        length = draw.randrange(len(raw) - 3)
        yield f"cut at {length}", raw[:length]
        yield f"random bytes, cut at {length}", b"\xff" + draw.randbytes(length % 100)
        yield f"a control character at {length}", raw[:length] + b"\0" + raw[length:]
    for whole in (
        "",
        "null",
        "[]",
        "3",
        '"run"',
        "{}",
        "[" * 100_000,
        '{"config": {}}',
        '{"config": []}',
    ):
        yield f"{whole[:20]} alone", whole.encode()
    for key in ("config", "dataset"):
        for value in (..., None, [], 3, "x", {}):
            yield f"{key} is {value}", _replaced(record, (key,), value).encode()
    for key, value in (
        ("shape", ...),
        ("shape", "28"),
        ("shape", [-1, 2, 1]),
        ("shape", [None]),
    ):
        yield f"dataset's {key} is {value}", _replaced(record, ("dataset", key), value).encode()


def training_on_damaged_records(text: str) -> Iterator[Case]:
    """A command that would go on, were it not for run.json."""
    cases = dict(damaged_records(text))
    record = json.loads(text)
    for name in record["config"]:
        for value in ([1], {"a": None}):  # one that is missing may be of an older version
            cases[f"--{name} is {value}"] = _replaced(record, ("config", name), value).encode()
    for path in (("experiment",), ("dataset", "sha256"), ("versions",), ("devices",)):
        for value in (..., None, 3, "x y", []):
            cases[f"{path} is {value}"] = _replaced(record, path, value).encode()
    for name, content in cases.items():
        yield Case("run.json", name, "mnist", TRAINING, _rewrite("run.json", content), has_run=True)
    folder = Case("run.json", "a folder", "mnist", TRAINING, _make_folder("run.json"), has_run=True)
    yield folder


NEWER = tuple(LATER)  # than the first runs


def reading_damaged_records(text: str) -> Iterator[Case]:
    """Programs that read a run whose run.json is damaged."""
    cases = dict(damaged_records(text))
    record = json.loads(text)
    cases["a plane's shape"] = _replaced(record, ("dataset", "shape"), [28]).encode()
    for number, name in enumerate(sorted(record["config"])):
        value = (..., [1], {"a": None})[number % 3]
        if value is ... and name in NEWER:
            continue  # a run that is older than the flag has its default
        cases[f"--{name} is {value}"] = _replaced(record, ("config", name), value).encode()
    for name in ("network", "loss", "dtype", "lr_schedule", "latent_dim", "batch_size", "width"):
        for value in ("nonsense", -1):
            cases[f"--{name} is {value}"] = _replaced(record, ("config", name), value).encode()
    for name, content in cases.items():
        for program, rest in (
            ("sample", "--out={place}/out.png"),
            ("evaluate", "--num_samples=10"),
        ):
            arguments = (RUN, rest)
            yield Case(
                "reading a run.json", f"{program}: {name}", program, arguments, _rewrite("run.json", content), True
            )  # fmt: skip


def _rewrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda place: (place / "run" / name).write_bytes(content)


def _make_folder(name: str) -> Callable[[Path], object]:
    def prepare(place: Path) -> None:
        (place / "run" / name).unlink()
        (place / "run" / name).mkdir()

    return prepare


# Of a log: no step in whole numbers, no number where one belongs, no strict JSON.
BAD_LINES = (
    b'{"step": Infinity}', b'{"step": 1e999}', b'{"step": 1.5}', b'{"step": 2.0}', b'{"step": "2"}', b'{"step": -1}',
    b'{"step": true}', b'{"step": null}', b'{"d_loss": 1.0}', b'{"step": 1' + b"0" * 400 + b"}",
    b'{"step": 1, "frechet": "1.0"}', b'{"step": 1, "frechet": NaN}', b'{"step": 1, "frechet": [1.0]}',
    b'{"step": 1, "step": 2, "frechet": 1.0}', b'{"step": 1, "\\ud800": 1.0}', b"[" * 100_000, b"\xef\xbb\xbf{}", b"",
)  # fmt: skip


def damaged_evaluations() -> Iterator[Case]:
    """A run that would go on, were its evaluations.jsonl whole."""
    for line in (*BAD_LINES[1::4], b'{"step": 1, "frechet": null}'):
        prepare = _rewrite("evaluations.jsonl", b'{"step": 2, "frechet": 1.0}\n' + line + b"\n")
        name = line[:30].decode("latin-1")
        yield Case("evaluations.jsonl", name, "mnist", TRAINING, prepare, has_run=True)


def damaged_populations() -> Iterator[Case]:
    """Folders of many runs whose table is damaged, or leads out of them."""
    tables: dict[str, Any] = {
        "null": None, "a list": [], "empty": {}, "no groups": {"recipe": {}, "members": {}},
        "no recipe": {"recipe": None, "members": {}, "groups": []},
        "a group of numbers": {"recipe": {}, "members": {"3": {}}, "groups": [[3]]},
        "a group too many": {"recipe": {}, "members": {}, "groups": [["seed_0"]]},
        "a run in two groups": {"recipe": {}, "members": {"a": {}}, "groups": [["a"], ["a"]]},
        "flags that are no table": {"recipe": {}, "members": {"a": 3}, "groups": [["a"]]},
    }  # fmt: skip
    for name in ("../run", "..", ".", "", "/etc", "a/b", "a\\b", "a\0b", "\ud800"):
        tables[f"a run named {name!a}"] = {"recipe": {}, "members": {name: {}}, "groups": [[name]]}
    for name, table in tables.items():
        content = json.dumps(table)
        arguments = ("--workdir={place}/many",)
        for program in ("evaluate", "gaussians"):
            rest = () if program == "evaluate" else (*TRAINING[:-1], "--dataset=ring", "--seeds=0")
            yield Case(
                "population.json", f"{program}: {name}", program, (*rest, *arguments),
                lambda place, content=content: _write(place / "many" / "population.json", content), has_run=True,
            )  # fmt: skip


def planted_links() -> Iterator[Case]:
    """Folders in which what a run writes would land elsewhere."""

    def plant(name: str, folder: str) -> Callable[[Path], None]:
        def prepare(place: Path) -> None:
            _write(place / "outside" / "precious", "precious")
            (place / folder).mkdir(exist_ok=True)
            path, target = place / folder / name, place / "outside"
            if path.is_dir():
                path.rename(target / name)
            path.unlink(missing_ok=True)
            path.symlink_to(target if "." not in name else target / "precious")

        return prepare

    for name in ("samples", "metrics.jsonl", "evaluations.jsonl", "tensorboard", ".lock"):
        yield Case("links", name, "mnist", TRAINING, plant(name, "run"), has_run=True)
    for name in ("samples", "tensorboard", ".lock"):
        yield Case("links", f"new, {name}", "mnist", TRAINING, plant(name, "run"))
    arguments = (*TRAINING[:-1], "--dataset=ring", "--seeds=0", "--workdir={place}/many")
    for name in ("seed_0", ".lock"):
        yield Case("links", f"many, {name}", "gaussians", arguments, plant(name, "many"))


def damaged_logs(text: str) -> Iterator[Case]:
    """A run that would go on, were its metrics.jsonl whole.

    Args:
      text: the sound one.
    """
    draw, raw = random.Random(SEED), text.encode()
    contents = {"empty": b"", "last newline gone": raw[:-1], "a list": b"[]\n" * (len(raw) // 3)}
    contents["blank"] = b"\n" * len(raw)
    for line in BAD_LINES[::3]:  # all of them: test_schema
        contents[line[:30].decode("latin-1")] = line + b"\n" + raw
    for _ in range(8):
        position = draw.randrange(1, len(raw) - 2)
        contents[f"cut at {position}"] = raw[:position]
        contents[f"zeros from {position}"] = raw[:position] + bytes(len(raw) - position)
        flipped = bytearray(raw)
        flipped[position] ^= 0x80
        contents[f"bit 7 flipped at {position}"] = bytes(flipped)
    for name, content in contents.items():
        prepare = _rewrite("metrics.jsonl", content)
        yield Case("metrics.jsonl", name, "mnist", TRAINING, prepare, has_run=True)
    prepare = _make_folder("metrics.jsonl")
    yield Case("metrics.jsonl", "a folder", "mnist", TRAINING, prepare, has_run=True)


def damaged_data() -> Iterator[Case]:
    """Sets of IDX files of which one is damaged."""
    images, labels = some_images(12), some_labels(12)
    for suffix in (".gz", ""):
        pack = gzip.compress if suffix else bytes
        for stem, array in (
            ("train-images-idx3-ubyte", images),
            ("train-labels-idx1-ubyte", labels),
        ):
            raw = idx_bytes(array)
            packed = pack(raw)
            ruins: dict[str, bytes | None] = {
                "removed": None,
                "empty": b"",
                "random": b"x" + random.Random(SEED).randbytes(200),
                "with bytes after it": pack(raw + b"x"),
                "one element short": pack(raw[:-1]),
                "half a header": pack(raw[:5]),
                "of 16-bit numbers": pack(b"\0\0\x0b" + raw[3:]),
                "of another dimension": pack(raw[:3] + bytes([array.ndim + 1]) + raw[4:]),
                "big-endian magic": pack(b"\x03\x08\0\0" + raw[4:]),
                "of no elements": pack(raw[:4] + struct.pack(">I", 0) + raw[8:]),
                "of a billion elements": pack(raw[:4] + struct.pack(">I", 2**30) + raw[8:]),
                "one row fewer": pack(idx_bytes(array[:-1])),
                "the other file": pack(idx_bytes(labels if array is images else images)),
            }
            ruins |= {
                f"cut at {cut}": packed[: int(cut * len(packed))] for cut in (0.01, 0.3, 0.6, 0.99)
            }
            if suffix:
                ruins |= {f"flipped at {at}": _flipped(packed, at) for at in (-1, -5, -8, 14)}
            for what, content in ruins.items():
                arguments = (*TRAINING, "--dataset=odd", "--data_dir={place}")
                name = f"{stem}{suffix} {what}"
                yield Case("data", name, "mnist", arguments, _ruin(stem + suffix, suffix, content))


def _flipped(raw: bytes, at: int) -> bytes:
    changed = bytearray(raw)
    changed[at] ^= 0x10
    return bytes(changed)


def _ruin(name: str, suffix: str, content: bytes | None) -> Callable[[Path], None]:
    def prepare(place: Path) -> None:
        path = write_set(place / "odd", suffix=suffix) / name
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)

    return prepare


def readers() -> Iterator[Case]:
    """Programs that read a run, where there is none, or asked for what cannot be."""
    run, out = RUN, "--out={place}/out.png"
    folders: dict[str, Callable[[Path], object]] = {
        "no folder": lambda place: None,
        "an empty folder": lambda place: (place / "run").mkdir(),
        "a file": lambda place: (place / "run").write_text(""),
        "a stranger's folder": lambda place: _write(place / "run" / "thesis.tex", "precious"),
    }
    for program, arguments in (("sample", (run, out)), ("evaluate", (run,))):
        for name, prepare in folders.items():
            yield Case("readers", f"{program}: {name}", program, arguments, prepare)
        for name, prepare in _ruins_of_checkpoints().items():
            yield Case("readers", f"{program}: {name}", program, arguments, prepare, has_run=True)
        for path in ("", "/dev/null", "~nosuchuser/x", "x" * 300):
            case = (*arguments, f"--workdir={path}")
            yield Case("readers", f"{program}: {path}", program, case)
    for path in (
        "x.jpg",
        "",
        "{place}",
        "{place}/run/run.json",
        ".png",
        "x.png.txt",
        "~nosuchuser/x.png",
    ):
        yield Case("readers", f"--out={path}", "sample", (run, f"--out={path}"), has_run=True)
    for path in (
        "/dev/null/x.png",
        "{place}/run/run.json/x.png",
        "/proc/x.npz",
        "{place}/" + "x" * 300 + ".png",
    ):
        arguments = (run, f"--out={path}", "--num_samples=4")
        yield Case("readers", f"--out={path}", "sample", arguments, has_run=True)
    for measures in ("x", "frechet,x", "modes", " ", "Frechet", "modes,", ","):
        arguments = (run, f"--measures={measures}", "--num_samples=10")
        yield Case("readers", f"--measures={measures}", "evaluate", arguments, has_run=True)


def _ruins_of_checkpoints() -> dict[str, Callable[[Path], object]]:
    def for_all(act: Callable[[Path], object]) -> Callable[[Path], None]:
        def prepare(place: Path) -> None:
            for path in sorted((place / "run" / "checkpoints").rglob("*")):
                if path.is_file():
                    act(path)

        return prepare

    def flip_half(path: Path) -> None:
        raw = path.read_bytes()
        path.write_bytes(_flipped(raw, len(raw) // 2) if raw else b"")

    return {
        "checkpoints emptied": for_all(lambda path: path.write_bytes(b"")),
        "checkpoints removed": for_all(Path.unlink),
        "checkpoints halved": for_all(
            lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2])
        ),
        "checkpoints flipped": for_all(flip_half),
    }
