"""The trackers that have a name: TensorBoard, Weights & Biases and Trackio.

A constructor checks options and opens nothing; the first row opens the tracker's storage. After a
resume the first row is the first new one, and with it the tracker continues what it has of the run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from selfplay.runs.metrics_row import MetricsRow
from selfplay.tracking.tracker import TrackedRun, scalars

PROJECT = "oomzero"
WANDB_MODES = ("", "online", "offline", "disabled")


class TensorBoard:
    """Writer of event files in ``RUN/tensorboard/``."""

    def __init__(self) -> None:
        """Opens nothing yet."""
        self._writer: Any = None  # tensorboardX.SummaryWriter

    def __call__(self, row: MetricsRow, run: TrackedRun) -> None:
        """Writes a row. The first one hides what the files have of its iteration and later ones."""
        if self._writer is None:
            from tensorboardX import SummaryWriter  # slow to import

            self._writer = SummaryWriter(
                str(run.folder / "tensorboard"),
                purge_step=row.iteration,
                flush_secs=10,
                # The names have whole seconds only; a file that exists would be overwritten.
                filename_suffix=f".{row.iteration:08}",
            )
        for tag, value in scalars(row).items():
            self._writer.add_scalar(tag, value, row.iteration)

    def close(self) -> None:
        """Flushes and closes the event file."""
        if self._writer is not None:
            self._writer.close()


class Wandb:
    """Writer of a Weights & Biases run, with its files in ``RUN/wandb/``.

    wandb ignores a step that it already has, so an iteration that is repeated after a damaged
    commit keeps its first values; only its seconds could differ.
    """

    def __init__(self, *, project: str = PROJECT, entity: str = "", mode: str = "") -> None:
        """Takes the options of ``wandb.init``; those left out follow wandb's settings.

        Raises ValueError for an unknown mode.
        """
        if mode not in WANDB_MODES:
            choices = ", ".join(WANDB_MODES[1:])
            raise ValueError(f"tracker wandb: unknown mode {mode!r}; choose from {choices}")
        self._project, self._entity, self._mode = project, entity, mode
        self._run: Any = None  # wandb.Run
        self._folder = Path()

    def __call__(self, row: MetricsRow, run: TrackedRun) -> None:
        """Logs a row.

        Raises ValueError if wandb would upload and has no key; it would ask for it at the terminal.
        """
        if self._run is None:
            self._folder = run.folder / "wandb"
            self._run = self._open(run)
            self._remove_links()
        self._run.log(scalars(row), step=row.iteration)

    def _open(self, run: TrackedRun) -> Any:
        import wandb

        mode = self._mode or os.environ.get("WANDB_MODE") or "online"
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            raise ValueError("it is not logged in; run `wandb login`, or add mode=offline")
        return wandb.init(
            project=self._project,
            entity=self._entity or None,
            mode=mode,  # pyright: ignore[reportArgumentType]
            id=run.id,
            resume="allow",
            name=run.name,
            config=run.config,
            dir=run.folder,
            settings=wandb.Settings(console="off", silent=True, symlink=False),
        )

    def close(self) -> None:
        """Waits for the upload and closes the run."""
        if self._run is not None:
            self._run.finish()
            self._remove_links()

    def _remove_links(self) -> None:
        """Removes wandb's link to its debug log: a run folder with links cannot be opened."""
        for path in self._folder.rglob("*"):
            if path.is_symlink():
                path.unlink()


class Trackio:
    """Writer of a Trackio run, in the folder that trackio stores all its projects in.

    trackio keeps both points of an iteration that is repeated after a damaged commit.
    """

    def __init__(self, *, project: str = PROJECT) -> None:
        """Takes the project's name."""
        self._project = project
        self._run: Any = None  # trackio.Run

    def __call__(self, row: MetricsRow, run: TrackedRun) -> None:
        """Logs a row."""
        if self._run is None:
            import trackio  # pyright: ignore[reportMissingImports]  # not in `dev`

            self._run = trackio.init(
                project=self._project,
                name=f"{run.name}-{run.id[:8]}",  # trackio resumes by name
                resume="allow",
                config=dict(run.config),
            )
        self._run.log(scalars(row), step=row.iteration)

    def close(self) -> None:
        """Writes what is left and closes the run."""
        if self._run is not None:
            self._run.finish()
