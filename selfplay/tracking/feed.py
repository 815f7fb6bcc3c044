"""Feeds: the trackers of a run at work, each on a thread of its own.

A tracker may fail, or wait for a network that does not answer: training continues without it.
"""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue

from selfplay.runs.files import describe
from selfplay.runs.metrics_row import MetricsRow
from selfplay.runs.run import Run
from selfplay.tracking.tracker import TrackedRun
from selfplay.tracking.tracker_specs import NamedTracker

CLOSING_SECONDS = 60.0  # that all trackers of a run have to finish when it ends
MESSAGE_LENGTH = 300  # of a tracker's error, in signs


@contextmanager
def tracked(
    run: Run, trackers: Sequence[NamedTracker], announce: Callable[[str], None]
) -> Iterator[None]:
    """Gives the rows that a run commits inside the block to trackers.

    Leaving the block waits for them, `CLOSING_SECONDS` at most.

    Args:
        run: the run, open.
        trackers: started at the first row.
        announce: gets one sentence for each tracker that failed.
    """
    feeds = [Feed(tracker, announce) for tracker in trackers]
    descriptions: list[TrackedRun] = []

    def on_commit(row: MetricsRow) -> None:
        if not descriptions:  # the first commit of this process: now the run has an identity
            descriptions.append(TrackedRun.of(run))
        for feed in feeds:
            feed.send(row, descriptions[0])

    run.on_commit = on_commit if feeds else None
    try:
        yield
    finally:
        run.on_commit = None
        for feed in feeds:
            feed.end()
        deadline = time.monotonic() + CLOSING_SECONDS
        for feed in feeds:
            feed.wait(deadline)


class Feed:
    """A tracker on its thread, which receives rows through a queue."""

    def __init__(self, tracker: NamedTracker, announce: Callable[[str], None]) -> None:
        """Starts nothing yet; the first row does."""
        self._name, self._make, self._announce = tracker.name, tracker.make, announce
        self._rows: SimpleQueue[tuple[MetricsRow, TrackedRun] | None] = SimpleQueue()
        # A daemon: a thread that hangs does not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._error: BaseException | None = None
        self._is_off = False

    def send(self, row: MetricsRow, run: TrackedRun) -> None:
        """Passes a row on, without waiting; announces the tracker's failure, if there is one."""
        self._announce_failure()
        if self._is_off:
            return
        if self._thread.ident is None:
            self._thread.start()
        self._rows.put((row, run))

    def end(self) -> None:
        """Lets the tracker close after the rows that it has not handled yet."""
        self._rows.put(None)

    def wait(self, deadline: float) -> None:
        """Waits for the tracker to close, until ``time.monotonic()`` is `deadline`."""
        if self._thread.ident is None:
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self._announce_failure()
        if self._thread.is_alive() and not self._is_off:
            self._switch_off("it does not finish and may miss the last rows")

    def _work(self) -> None:
        """Runs the tracker; the body of the thread."""
        try:
            tracker = self._make()
            try:
                for row, run in iter(self._rows.get, None):
                    tracker(row, run)
            except BaseException as error:  # SystemExit included: this thread alone ends
                self._error = error
            if close := getattr(tracker, "close", None):
                close()
        except BaseException as error:
            self._error = self._error or error

    def _announce_failure(self) -> None:
        if self._error is not None and not self._is_off:
            self._switch_off(_sentence(self._error))

    def _switch_off(self, why: str) -> None:
        self._is_off = True
        self._announce(f"tracker {self._name} is off, and the run is not affected: {why}")


def _sentence(error: BaseException) -> str:
    """Returns an error as one line."""
    text = describe(error) if isinstance(error, OSError) else str(error)
    if text and not isinstance(error, (OSError, ValueError)):
        text = f"{type(error).__name__}: {text}"
    return textwrap.shorten(text or type(error).__name__, MESSAGE_LENGTH, placeholder=" …")
