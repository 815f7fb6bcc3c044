"""Where the code runs from: a checkout, or a package that is installed without its sources."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the packages: that of a checkout, or the environment's site-packages."""

LOCK = ROOT / "requirements.lock"


def is_checkout() -> bool:
    """Tells whether the code runs from a checkout, which alone has the lock file."""
    return LOCK.exists()
