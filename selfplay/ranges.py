"""Range checks for config fields, with one wording for all of them.

Each function raises ValueError with the option as it is typed, its value and what is allowed:
"selfplay.batch-size must be at least 1, got 0". `section` is the config's section; "" for none.
"""

from __future__ import annotations


def option(section: str, field: str) -> str:
    """Returns a config field as it is typed on a command line, "learner.batch-size"."""
    name = field.replace("_", "-")
    return f"{section}.{name}" if section else name


def check_at_least(config: object, section: str, least: float, *fields: str) -> None:
    """Raises ValueError for the first field below `least`."""
    for field in fields:
        value = getattr(config, field)
        if not value >= least:
            raise ValueError(f"{option(section, field)} must be at least {least:g}, got {value}")


def check_above(config: object, section: str, bound: float, *fields: str) -> None:
    """Raises ValueError for the first field that is not above `bound`."""
    for field in fields:
        value = getattr(config, field)
        if not value > bound:
            raise ValueError(f"{option(section, field)} must be above {bound:g}, got {value}")


def check_fraction(config: object, section: str, *fields: str) -> None:
    """Raises ValueError for the first field outside [0, 1]."""
    for field in fields:
        value = getattr(config, field)
        if not 0 <= value <= 1:
            raise ValueError(f"{option(section, field)} must be from 0 to 1, got {value}")


def check_budgets(config: object, section: str, field: str) -> None:
    """Raises ValueError if a field of budgets, in simulations a move, has a negative one."""
    budgets = getattr(config, field)
    if any(budget < 0 for budget in budgets):
        raise ValueError(f"{option(section, field)} must not be negative, got {budgets}")
