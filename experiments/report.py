"""Make the page of a run, or of several: report.html, one file that opens anywhere.

    python -m experiments.report --workdir=runs/mnist
    python -m experiments.report --workdir=runs/seeds           # of --seeds or --sweep: each run's page, and one of all
    python -m experiments.report --workdir=runs/a --workdir=runs/b --out=both.html

Training programs make it at the end. It holds the generator itself, which runs in the page (networks up to 5 MB),
samples, a slider over training, curves with what they say, measures with intervals and floors, nearest training
pictures, recipe and provenance. It loads nothing and sends nothing.
"""

from pathlib import Path

from absl import flags

from experiments.command import program

WORKDIR = flags.DEFINE_multi_string("workdir", [], "run folder; given several times: side by side")
OUT = flags.DEFINE_string("out", "report.html", "where the page of several folders goes")


def main() -> int:
    """Make the pages, and say where they are."""
    if not WORKDIR.value:
        raise program.UserError("--workdir is missing: name the folder of a run")

    from experiments.reporting import page, several

    folders = [Path(each).expanduser() for each in WORKDIR.value]
    if len(folders) > 1:
        print(f"wrote {several.write(folders, Path(OUT.value).expanduser())}")
    elif several.holds_runs(folders[0]):
        for line in several.write_all(folders[0]):
            print(line, flush=True)
    else:
        print(f"wrote {page.write(folders[0])}")
    return 0


if __name__ == "__main__":
    program.run(main)
