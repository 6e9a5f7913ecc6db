"""What a run tells of itself: its log, pictures and measurements in the folder, and lines for whoever watches."""

from experiments.command import devices
from experiments.command.experiment import Observer, Record
from experiments.record.run_folder import RunFolder
from experiments.training.console import Console
from experiments.training.progress import LogSums, Progress
from experiments.training.sinks import Sink
from gan_jax import plots
from gan_jax.types import GANState


class Report:
    """Writes into a run's folder; only the writing process does, and the others are silent.

    Attributes:
      folder: of the run.
      console: for the lines.
      last_record: the newest line of the log; empty before the first.
    """

    def __init__(
        self,
        folder: RunFolder,
        observer: Observer,
        console: Console,
        sink: Sink,
        images_per_step: int,
        title: str = "",
    ) -> None:
        self.folder, self.console = folder, console
        self._observer, self._sink, self._title = observer, sink, title
        self._images_per_step = images_per_step
        self._is_writer = devices.is_writer()
        self.last_record: Record = {}

    def log(self, progress: Progress, state: GANState) -> None:
        """Write a line of the log from the sums since the last one, and begin them anew."""
        sums, progress.since_log = progress.since_log, LogSums()
        if not self._is_writer:
            return
        record = {
            "step": progress.step,
            "images": progress.step * self._images_per_step,
            "seconds": progress.seconds,
            "images_per_second": sums.count * self._images_per_step / sums.seconds,
            **sums.means(),
            **self._observer.watch(devices.local(state)),
        }
        progress.metrics_length = self.folder.append_metrics(record)
        self.last_record = record
        self._sink.numbers(record)
        self.console.log(record)
        warning = self._observer.warn(record)
        if warning:
            self.console.say(warning)

    def rehearse(self, state: GANState) -> None:
        """Watch a state in vain: what is compiled for that is compiled while others are at work."""
        if self._is_writer:
            self._observer.watch(devices.local(state))

    def draw(self, step: int, state: GANState) -> None:
        """Draw the samples of a step."""
        if self._is_writer:
            self._observer.draw(devices.local(state), self.folder.sample(step))
            self._sink.picture(step, self.folder.sample(step))

    def measure(self, step: int, state: GANState) -> float | None:
        """Measure the samples of a step and note it; None where there is nothing to measure, or nobody to note it."""
        if not self._is_writer or self._observer.measure is None:
            return None
        value, name = self._observer.measure(devices.local(state)), self._observer.measured
        self.folder.append_evaluation({"step": step, name: value})
        self.console.say(f"step {step}: {name} {value:.4g}")
        return value

    def cut(self, progress: Progress) -> None:
        """Drop what was logged and measured after the checkpoint from which the run goes on."""
        if self._is_writer:
            self.folder.cut_metrics(progress.metrics_length)
            self.folder.cut_evaluations(progress.step, self._observer.measured or None)

    def finish(self, progress: Progress, state: GANState) -> None:
        """Draw the pictures that sum up the run, and say where they are."""
        self.console.close()
        if not self._is_writer:
            return
        records = self.folder.read_metrics()
        if records:
            plots.save_curves(records, self.folder.path / "curves.png", title=self._title)
        plots.save_animation(self.folder.sample_pictures(), self.folder.path / "progress.gif")
        self._observer.finish(devices.local(state), self.folder.path)
        self._say_best()
        self.console.say(
            f"finished {progress.step} steps in {progress.seconds:.0f} s: see {self.folder.path}"
        )

    def _say_best(self) -> None:
        name = self._observer.measured
        values = self.folder.read_evaluations(name) if name else []
        if values:
            best, last = min(values, key=lambda record: record[name]), values[-1]
            self.console.say(
                f"{name}: best {best[name]:.4g} at step {best['step']}, last {last[name]:.4g} at step {last['step']}"
            )
