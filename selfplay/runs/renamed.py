"""Names of the first format, and the names that replaced them in the code.

Files keep the names they were written with: run folders, exported files, ladders and archives of
format 1 load, resume, verify and play. This module is the border between those files and the code:
`FIELDS` renames the fields of stored configs, `OPTIONS` the options of stored command lines, and
`ON_DISK` and `ROWS_ON_DISK` give arrays the names that digests and checkpoints were made with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from selfplay.runs.codec import JsonObject

T = TypeVar("T")

FIELDS: Mapping[str, str] = {
    "lag": "policy_lag",
    "search.max_considered_actions": "search.gumbel.max_considered_actions",
    "search.gumbel_scale": "search.gumbel.scale",
    "search.c_visit": "search.gumbel.c_visit",
    "search.c_scale": "search.gumbel.c_scale",
    "search.rescale_values": "search.gumbel.rescale_values",
    "search.pb_c_init": "search.puct.pb_c_init",
    "search.pb_c_base": "search.puct.pb_c_base",
    "search.fpu_reduction": "search.puct.fpu_reduction",
    "search.dirichlet_fraction": "search.puct.dirichlet_fraction",
    "search.dirichlet_concentration": "search.puct.dirichlet_concentration",
    "search.temperature": "search.puct.temperature",
    "selfplay.lanes": "selfplay.batch_size",
    "selfplay.plies": "selfplay.segment_length",
    "selfplay.random_opening_share": "selfplay.random_opening_fraction",
    "learner.reuse": "learner.replay_ratio",
    "learner.decay": "learner.lr_decay_fraction",
    "learner.final_learning_rate": "learner.final_lr_fraction",
    "learner.ema": "learner.ema_decay",
    "imitation.data": "imitation.dataset",
    "imitation.games": "imitation.game_fraction",
    "imitation.part": "imitation.positions_per_iteration",
    "imitation.measured": "imitation.eval_positions",
    "imitation.stays": "imitation.expert_fraction",
    "imitation.halves": "imitation.expert_half_life",
    "imitation.watch": "imitation.monitor_iterations",
    "imitation.learner.reuse": "imitation.learner.replay_ratio",
    "imitation.learner.decay": "imitation.learner.lr_decay_fraction",
    "imitation.learner.final_learning_rate": "imitation.learner.final_lr_fraction",
    "imitation.learner.ema": "imitation.learner.ema_decay",
    "cluster.mixing": "cluster.allow_mismatched_actors",
}
"""Dotted path of a config field in format 1 → its path today."""

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "ablate": {"--set": "--fix"},
    "experts": {"label": "generate", "--of": "--strength-applies-to"},
    "simulate": {
        "--per-actor-hour": "--actor-price-per-hour",
        "--per-learner-hour": "--learner-price-per-hour",
    },
}
"""Command → old spelling of an option or a subcommand → its name today."""

ON_DISK: Mapping[tuple[str, ...], str] = {
    ("acting_params",): "playing",  # of `TrainState`
    ("ema_params",): "averaged",  # of `LearnerState`
    ("learner", "ema_params"): "averaged",  # of a `TrainState`'s `LearnerState`
    ("pending",): "waiting",  # of `Carry`
}
"""Attributes that lead from a state of training to an array → the last one's name on disk.

Trees are renamed where they are flattened (`selfplay.runs.tree`), at these places only: names of
parameters and of a game's arrays are their authors', and stay.
"""

ROWS_ON_DISK: Mapping[str, str] = {"mover_outcome": "outcome"}
"""Field of rows → its name in digests and files.

Whoever writes rows to files or digests calls `disk_names`, and whoever reads them `code_names`.
"""
_ROWS_IN_CODE: Mapping[str, str] = {disk: code for code, disk in ROWS_ON_DISK.items()}


def disk_names(rows: Mapping[str, T]) -> dict[str, T]:
    """Returns the fields of rows under the names that files and digests have for them."""
    return {ROWS_ON_DISK.get(name, name): array for name, array in rows.items()}


def code_names(rows: Mapping[str, T]) -> dict[str, T]:
    """Returns the fields of rows that were read from files under the names that the code uses."""
    return {_ROWS_IN_CODE.get(name, name): array for name, array in rows.items()}


def with_today_names(config: Mapping[str, Any]) -> JsonObject:
    """Returns a stored config with the field names of today; today's configs stay as they are."""
    result = _copied(config)
    for old, new in FIELDS.items():
        *sections, name = old.split(".")
        source = _section(result, sections)
        if source is None or name not in source:
            continue
        *sections, new_name = new.split(".")
        target = result
        for section in sections:
            target = target.setdefault(section, {})
        target[new_name] = source.pop(name)
    return result


def today_field(typed: str) -> str:
    """Returns a field, or the option that sets it, as it is typed today; other text unchanged.

    "learner.reuse" gives "learner.replay-ratio", and "--search.no-rescale_values" gives
    "--search.gumbel.no-rescale-values".
    """
    dashes = "--" if typed.startswith("--") else ""
    section, dot, name = typed.removeprefix("--").replace("-", "_").rpartition(".")
    no = "no_" if name.startswith("no_") else ""
    new = FIELDS.get(f"{section}{dot}{name.removeprefix('no_')}")
    if new is None:
        return typed
    section, dot, name = new.rpartition(".")
    return dashes + f"{section}{dot}{no}{name}".replace("_", "-")


def today_arguments(command: str, arguments: Sequence[str]) -> list[str]:
    """Returns the arguments of a command as they are typed today; only names change, no values.

    Fields of the config are options of ``train``, and of ``ablate`` also FIELD=VALUE.
    """
    result = []
    for place, argument in enumerate(arguments):
        parts = argument.split("=", 2 if command == "ablate" else 1)  # --grid=FIELD=VALUE
        count = len(parts) - 1 or int(argument.startswith("--") or place == 0)
        names = [_today_name(command, name, place) for name in parts[:count]]
        result.append("=".join((*names, *parts[count:])))
    return result


def _today_name(command: str, typed: str, place: int) -> str:
    """Returns what an option, a subcommand or a field is called today, if typed at this place."""
    is_option = typed.startswith("--")
    if is_option or place == 0:
        option = OPTIONS.get(command, {}).get(typed.replace("_", "-"))
        if option is not None:
            return option
    is_field = command == "ablate" or (command == "train" and is_option)
    return today_field(typed) if is_field else typed


def _copied(config: Mapping[str, Any]) -> JsonObject:
    """Returns a copy of nested mappings; other values are shared."""
    return {k: _copied(v) if isinstance(v, Mapping) else v for k, v in config.items()}


def _section(config: JsonObject, names: list[str]) -> JsonObject | None:
    """Returns the nested mapping at `names`; None where no mapping has that path."""
    section: JsonObject | None = config
    for name in names:
        section = section.get(name) if isinstance(section, dict) else None
    return section if isinstance(section, dict) else None
