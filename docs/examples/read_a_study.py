"""Reads a finished study with pandas, and prints Elo per order of magnitude of training.

    python docs/examples/read_a_study.py studies/hex_4

Every figure of a report has its numbers as CSV, and every ladder has a table of its players.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd


def read_versions(report: Path) -> pd.DataFrame:
    """Reads the rated versions of all games in a report: a row for each version and budget."""
    files = sorted(report.glob("*training.csv"))  # GAME_training.csv if there are several games
    return pd.concat([pd.read_csv(file) for file in files], ignore_index=True)


def elo_per_oom(versions: pd.DataFrame) -> pd.DataFrame:
    """Computes Elo per OOM of training FLOPs by recipe and search budget.

    Returns:
        A line is fitted to each run; the columns are the mean of the slopes over runs, their
        standard deviation (NaN for one run) and the number of runs.
    """

    def slope(run: pd.DataFrame) -> float:
        return np.polyfit(run["training_log10_flops"], run["elo"], 1)[0] if len(run) > 1 else np.nan

    keys = ["recipe", "simulations"]
    slopes = versions.groupby([*keys, "run"])[["training_log10_flops", "elo"]].apply(slope)
    return pd.DataFrame(slopes.groupby(keys).agg(["mean", "std", "count"]))


def read_players(study: Path) -> pd.DataFrame:
    """Reads the tables of a study's ladders: a row for each player, with the game it plays."""
    files = sorted(study.glob("ladder/*/ladder.csv"))
    tables = [pd.read_csv(file).assign(game=file.parent.name) for file in files]
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(elo_per_oom(read_versions(folder / "report")).round(0).to_string(), end="\n\n")
    players = read_players(folder)
    strongest = players.sort_values("rank").groupby("game").head(5)
    print(strongest[["game", "player", "elo", "low", "high", "games"]].to_string(index=False))
