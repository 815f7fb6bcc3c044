"""What Ray's exceptions mean to a pool: an actor is lost, the cluster failed, or the code did."""

from __future__ import annotations

from typing import Any

LOST = (  # of Ray's exceptions: an actor, its node or its objects are gone
    *("RayActorError", "ObjectLostError", "NodeDiedError"),
    *("WorkerCrashedError", "OutOfMemoryError"),
)


class PoolFailed(RuntimeError):
    """Nobody can play any more. What is committed is safe, and the run can be resumed."""


class Failures:
    """Ray's exceptions, told apart."""

    def __init__(self, ray: Any) -> None:
        """Of this ray module."""
        self.any: type[Exception] = ray.exceptions.RayError
        self._of_code: type[Exception] = ray.exceptions.RayTaskError
        self._lost = tuple(getattr(ray.exceptions, name) for name in LOST)

    def died(self, error: Exception) -> bool:
        """Whether an actor is gone with its process."""
        return isinstance(error, self._lost) and not getattr(error, "actor_init_failed", False)

    def of_device(self, error: Exception) -> bool:
        """Whether an actor lives and its device has failed it: out of memory, say."""
        from jax.errors import JaxRuntimeError

        return isinstance(getattr(error, "cause", None), JaxRuntimeError)

    def named(self, error: Exception) -> Exception:
        """Ray's own failures as `PoolFailed`; what an actor's code raised stays what it is."""
        if not isinstance(error, self.any) or isinstance(error, self._of_code):
            return error
        failed = PoolFailed(f"the Ray cluster failed: {str(error).splitlines()[0]}")
        failed.__cause__ = error
        return failed


def last_line(error: Exception) -> str:
    """What an exception says at its end, behind the stack."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
