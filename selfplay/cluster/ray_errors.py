"""Classifies Ray's exceptions: an actor died, the cluster failed, or an actor's code raised."""

from __future__ import annotations

from typing import Any

LOST = (  # names of Ray's exceptions for an actor, a node or objects that are gone
    *("RayActorError", "ObjectLostError", "NodeDiedError"),
    *("WorkerCrashedError", "OutOfMemoryError"),
)


class PoolFailed(RuntimeError):
    """The pool cannot play any more; committed iterations are safe and the run can be resumed."""


class Failures:
    """Classifier of the exceptions of one Ray module.

    Attributes:
        ray_error: the base class of Ray's exceptions.
    """

    def __init__(self, ray: Any) -> None:
        """Reads the exception classes of the `ray` module."""
        self.ray_error: type[Exception] = ray.exceptions.RayError
        self._task_error: type[Exception] = ray.exceptions.RayTaskError
        self._lost = tuple(getattr(ray.exceptions, name) for name in LOST)

    def is_actor_death(self, error: Exception) -> bool:
        """Tells whether an actor died with its process, after it had started."""
        return isinstance(error, self._lost) and not getattr(error, "actor_init_failed", False)

    def is_device_error(self, error: Exception) -> bool:
        """Tells whether an actor lives but its device failed, for example ran out of memory."""
        from jax.errors import JaxRuntimeError

        return isinstance(getattr(error, "cause", None), JaxRuntimeError)

    def as_pool_error(self, error: Exception) -> Exception:
        """Returns Ray's own failures as `PoolFailed`, and other exceptions unchanged."""
        if not isinstance(error, self.ray_error) or isinstance(error, self._task_error):
            return error
        failed = PoolFailed(f"the Ray cluster failed: {str(error).splitlines()[0]}")
        failed.__cause__ = error
        return failed


def last_line(error: Exception) -> str:
    """Returns the last line of an exception's text, which follows the stack."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
