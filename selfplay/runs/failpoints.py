"""Named points at which a test can kill the process, to show that a crash there loses nothing.

With ``OOMZERO_FAILPOINT=commit.point@7`` the process kills itself with SIGKILL (no clean-up, no
flushing) when it reaches the point ``commit.point`` of iteration 7. If the variable is not set, a
point costs one look-up.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "OOMZERO_FAILPOINT"


def failpoint(name: str, iteration: int) -> None:
    """Kills this process if ``OOMZERO_FAILPOINT`` is ``f"{name}@{iteration}"``."""
    if os.environ.get(VARIABLE) == f"{name}@{iteration}":
        os.kill(os.getpid(), signal.SIGKILL)
