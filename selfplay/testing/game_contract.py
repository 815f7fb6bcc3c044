"""The contract of games: laws that every game keeps, as functions that need no test framework.

    from selfplay.testing.game_contract import check_game

    def test_my_game():
        check_game(MyGame(size=5))

Each game plays 128 random games at once, a few steps beyond their end; most laws read
that one record. What a law needs to know about a game, it asks the game: whether it can start from
a board, whether its states have a history, whether its rules treat both players alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass, replace
from functools import lru_cache, partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game, State
from games.notation import action_to_text, board_to_text, text_to_action, text_to_board
from selfplay.testing.laws import require

BATCH = 128  # games
BEYOND = 3  # steps after the longest possible game
FEW = 8  # games, where setting up a board may be costly
TEXTS = 4  # positions of one game that are printed and read

Law = Callable[[Game], None]
"""A check of one game; raises AssertionError with a sentence that names the law."""

LAWS: list[Law] = []
"""All laws, in the order in which `check_game` checks them."""


@dataclass(frozen=True, eq=False)
class Record:
    """Random games, NumPy, [T + 1, BATCH, ...]; entry t is the position before action t."""

    states: Any
    actions: np.ndarray
    legal: np.ndarray
    observation: np.ndarray
    terminal: np.ndarray
    outcome: np.ndarray
    player: np.ndarray
    board: np.ndarray


def check_game(game: Game) -> None:
    """Checks all laws.

    Raises:
        AssertionError: the game breaks a law; the message names the law and what was wrong.
    """
    for law in LAWS:
        law(game)


def _law(check: Law) -> Law:
    """Adds a law; whatever its check raises becomes an AssertionError that names the law."""

    @wraps(check)
    def law(game: Game) -> None:
        try:
            check(game)
        except Exception as error:
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            name = check.__name__.replace("_", " ")
            raise AssertionError(f"{game!r} breaks the law “{name}”: {kind}{error}") from error

    LAWS.append(law)
    return law


def look(game: Game, state: State) -> dict[str, Array]:
    """Returns what the game shows of a state, by the names of `Record`."""
    return {
        "legal": game.legal_actions(state),
        "observation": game.observe(state),
        "terminal": game.is_terminal(state),
        "outcome": game.outcome(state),
        "player": game.player(state),
        "board": game.board(state),
    }


@lru_cache(maxsize=1)
def play(game: Game) -> Record:
    """Plays BATCH random games; in a finished game any action is drawn."""
    return _play(game, np.full((game.max_plies + 1 + BEYOND, BATCH), -1, np.int32))


def colors_are_interchangeable(game: Game) -> bool:
    """Tells whether the rules treat both players alike, in the positions of random games.

    That is, whether exchanging the colors of the pieces and the player to move keeps the legal
    actions and negates the outcome. False if a board and a player do not determine a position.
    """
    if not game.can_start_from_board or game.has_history:
        return False
    record, exchanged = play(game), _exchanged(game)
    return np.array_equal(exchanged["legal"], record.legal) and np.array_equal(
        exchanged["outcome"], -record.outcome
    )


@_law
def game_is_a_hashable_value(game: Game) -> None:
    """A frozen dataclass that compares by value and has positive sizes."""
    data: Any = game
    frozen = is_dataclass(game) and data.__dataclass_params__.frozen
    require(frozen, "it is not a frozen dataclass")
    twin = replace(data)
    require(twin == game and hash(twin) == hash(game), "an equal copy differs or hashes otherwise")
    for number in (game.num_actions, game.max_plies, *game.observation_shape):
        require(type(number) is int and number > 0, f"{number!r} is not a positive int")


@_law
def capabilities_have_documented_types(game: Game) -> None:
    """Names, the version of the rules, komi, the pass and flags are as `Game` documents them."""
    require(isinstance(game.name, str) and game.name.isprintable(), f"name {game.name!r}")
    require(type(game.version) is int and game.version > 0, f"version {game.version!r}")
    first, second = game.player_names
    require(first != second, "both players have the same name")
    require(game.komi is None or isinstance(game.komi, int | float), f"komi {game.komi!r}")
    action = game.pass_action
    require(action is None or 0 <= action < game.num_actions, f"pass_action {action!r}")
    for flag in ("can_start_from_board", "has_history", "is_positional"):
        require(type(getattr(game, flag)) is bool, f"{flag} is not a bool")


@_law
def arrays_have_documented_shapes_and_dtypes(game: Game) -> None:
    """`step` and `from_board` keep the state's structure; the other methods give fixed arrays."""
    state = jax.eval_shape(game.init)
    height, width, _ = game.observation_shape
    action = jax.ShapeDtypeStruct((), jnp.int32)
    expected = {
        "legal": ((game.num_actions,), jnp.bool_),
        "observation": (game.observation_shape, jnp.bool_),
        "terminal": ((), jnp.bool_),
        "outcome": ((), jnp.float32),
        "player": ((), jnp.int32),
        "board": ((height, width), jnp.int8),
    }
    for name, value in jax.eval_shape(partial(look, game), state).items():
        actual = (value.shape, value.dtype)
        shape, dtype = expected[name]
        sentence = f"{name} is {actual[1]}{list(actual[0])}, not {jnp.dtype(dtype)}{list(shape)}"
        require(actual == expected[name], sentence)
    others = {"step": jax.eval_shape(game.step, state, action)}
    if game.can_start_from_board:
        board = jax.ShapeDtypeStruct((height, width), jnp.int8)
        others["from_board"] = jax.eval_shape(game.from_board, board, action)
    for method, other in others.items():
        same = jax.tree.structure(other) == jax.tree.structure(state)
        require(same, f"{method} returns another structure than init")
        for x, y in zip(jax.tree.leaves(other), jax.tree.leaves(state), strict=True):
            same = (x.shape, x.dtype, x.weak_type) == (y.shape, y.dtype, False)
            require(same, f"a leaf of init is {y}, of {method} {x}; weak types differ as well")


@_law
def player_0_moves_first(game: Game) -> None:
    """The first position is not over, and player 0 is to move."""
    record = play(game)
    require(not record.terminal[0].any() and record.legal[0].any(), "init has no legal action")
    require(not record.player[0].any(), "player 1 is to move in init")


@_law
def games_end_within_max_plies(game: Game) -> None:
    """No random game is longer than `max_plies`."""
    running = int((~play(game).terminal[game.max_plies]).sum())
    require(not running, f"{running} of {BATCH} games still run after {game.max_plies} moves")


@_law
def terminal_states_stay_unchanged(game: Game) -> None:
    """`step` returns a terminal state bit by bit, whatever the action."""
    record = play(game)
    for leaf in jax.tree.leaves(record.states):
        changed = (leaf[1:] != leaf[:-1]).reshape(*record.terminal[1:].shape, -1).any(axis=-1)
        require(not (changed & record.terminal[:-1]).any(), "step changes a terminal state")


@_law
def state_is_terminal_exactly_if_no_action_is_legal(game: Game) -> None:
    """A running game has a legal action, a terminal state has none."""
    record = play(game)
    wrong = record.legal.any(axis=-1) == record.terminal
    require(not wrong.any(), f"{wrong.sum()} of {wrong.size} positions differ")


@_law
def outcome_is_a_sign_and_zero_while_the_game_runs(game: Game) -> None:
    """Outcomes are -1, 0 and +1, and random play lets both players win."""
    record = play(game)
    outcomes = {float(value) for value in np.unique(record.outcome)}
    require(outcomes <= {-1.0, 0.0, 1.0}, f"outcomes are {sorted(outcomes)}")
    require(not record.outcome[~record.terminal].any(), "a running game has an outcome")
    both = {-1.0, 1.0} <= set(record.outcome[-1])
    require(both, f"in {BATCH} random games, not both players win")


@_law
def players_alternate(game: Game) -> None:
    """The players are 0 and 1, and after every move the other one is to move."""
    record = play(game)
    running = ~record.terminal[:-1]
    require(set(np.unique(record.player)) <= {0, 1}, "a player is neither 0 nor 1")
    other = record.player[1:] == 1 - record.player[:-1]
    require(other[running].all(), "a player moves twice in a row")


@_law
def observation_is_the_movers_view(game: Game) -> None:
    """If the rules treat both alike, exchanging colors and mover keeps the observation.

    A plane that has one value on the whole board may differ: it can name the player to move.
    """
    if not colors_are_interchangeable(game):
        return
    record, exchanged = play(game), _exchanged(game)["observation"]
    cells = (*record.observation.shape[:2], -1, record.observation.shape[-1])
    ours, theirs = record.observation.reshape(cells), exchanged.reshape(cells)
    uniform = (ours == ours[:, :, :1]).all(axis=2) & (theirs == theirs[:, :, :1]).all(axis=2)
    differs = ((ours != theirs).any(axis=2) & ~uniform).any(axis=(0, 1))
    planes = np.flatnonzero(differs).tolist()
    require(not planes, f"with colors and mover exchanged, planes {planes} differ")


@_law
def owners_and_view_fit_the_board(game: Game) -> None:
    """Every cell has an owner or none, and a view only moves cells."""
    height, width, _ = game.observation_shape
    last = jax.tree.map(lambda leaf: leaf[-1], play(game).states)
    grid = jnp.arange(height * width, dtype=jnp.int32).reshape(height, width)
    owners = jax.jit(jax.vmap(game.owners))(last)
    shape = (BATCH, height, width)
    require((owners.shape, owners.dtype) == (shape, jnp.int8), "owners is not int8 [H, W]")
    require(set(np.unique(owners)) <= {-1, 0, 1}, "owners other than -1, 0 and +1")
    view = jax.jit(jax.vmap(lambda state: game.view(state, grid)))(last)
    require(view.shape == shape, "view changes the shape of a grid")
    cells = np.sort(np.asarray(view).reshape(BATCH, -1), axis=1)
    require(bool((cells == np.arange(height * width)).all()), "view loses cells")


@_law
def view_arranges_the_board_as_the_observation_does(game: Game) -> None:
    """If planes 0 and 1 are the mover's and the opponent's pieces, `view` puts them in place."""
    record = play(game)
    sign = np.where(record.player == 0, 1, -1).astype(np.int8)[..., None, None]
    planes, pieces = record.observation[..., :2].astype(np.int8), sign * record.board
    counts = np.stack([(pieces == piece).sum(axis=(2, 3)) for piece in (1, -1)], axis=-1)
    if planes.shape[-1] < 2 or not np.array_equal(planes.sum(axis=(2, 3)), counts):
        return  # the planes are something else
    seen = _over_games(game.view)(record.states, pieces)
    shown = planes[..., 0] - planes[..., 1]
    require(np.array_equal(seen, shown), "they differ in some position")


@_law
def from_board_inverts_board(game: Game) -> None:
    """`from_board` gives back the board and the player; without history, the very state."""
    if not game.can_start_from_board:
        return
    record = play(game)
    boards, players = record.board, record.player
    if game.has_history:
        boards, players = (x[:: game.max_plies // 3 + 1, :FEW] for x in (boards, players))
    again = _over_games(game.from_board)(boards, players)
    if game.has_history:
        shown = _over_games(lambda state: (game.board(state), game.player(state)))(again)
        require(_same(shown, (boards, players)), "from_board shows another board or player")
    else:
        sentence = "from_board gives another state than the one that was played"
        require(_same(again, record.states), f"{sentence}; if it has a history, set has_history")


@_law
def from_board_rejects_a_wrong_shape(game: Game) -> None:
    """`from_board` raises ValueError for a board of another shape, or for any board."""
    height, width, _ = game.observation_shape
    try:
        game.from_board(np.zeros((height + 1, width), np.int8), 0)
    except ValueError:
        return
    require(False, "a board with one more row raises no ValueError")


@_law
def eager_and_single_agree_with_jit_and_vmap(game: Game) -> None:
    """Every method gives the same bits for one state, uncompiled."""
    record = play(game)
    for t in (0, game.max_plies // 3, game.max_plies // 2):
        state = _state(record, t, 1)
        for name, value in look(game, state).items():
            require(_same(value, getattr(record, name)[t, 1]), f"{name} differs")
        after = game.step(state, int(record.actions[t, 1]))
        require(_same(after, _state(record, t + 1, 1)), "step differs")


@_law
def symmetries_are_a_group_with_the_identity_first(game: Game) -> None:
    """Permutations of cells and actions, each once; one after the other is one of them again."""
    group = game.symmetries()
    height, width, _ = game.observation_shape
    for name, length in (("cells", height * width), ("actions", game.num_actions)):
        table = getattr(group, name)
        shape = (len(group), length)
        require((table.dtype, table.shape) == (np.int32, shape), f"{name} is not int32{shape}")
        require((np.sort(table, axis=1) == np.arange(length)).all(), f"{name}: no permutation")
        require((table[0] == np.arange(length)).all(), f"{name}: the identity is not the first")
    pairs = {(tuple(c), tuple(a)) for c, a in zip(group.cells, group.actions, strict=True)}
    require(len(pairs) == len(group), "a symmetry is listed twice")
    for c, a in zip(group.cells, group.actions, strict=True):
        products = {
            (tuple(c[d]), tuple(a[b])) for d, b in zip(group.cells, group.actions, strict=True)
        }
        require(products == pairs, "one symmetry after another is not a symmetry of the list")


@_law
def symmetries_commute_with_the_rules(game: Game) -> None:
    """Whole games: the image of the moves leads to the image of all that the game shows."""
    group, record = game.symmetries(), play(game)
    count = BATCH // len(group)  # games; their images are played side by side
    if len(group) == 1 or count == 0:
        return
    moves = record.actions[:, :count]
    images = np.full_like(record.actions, -1)
    # A transformed policy is a gather, so an action moves to where its number is found.
    moved = np.argsort(group.actions, axis=1)[:, moves]  # [S, T, count]
    images[:, : len(group) * count] = np.concatenate(list(moved), axis=1)
    seen = _play(game, images)
    for s in range(1, len(group)):
        lanes = slice(s * count, (s + 1) * count)
        for name in ("observation", "legal", "outcome", "player", "board"):
            value = getattr(record, name)[:, :count]
            if name == "legal":
                value = value[..., group.actions[s]]
            elif name in ("observation", "board"):
                flat = value.reshape(*value.shape[:2], group.cells.shape[1], -1)
                value = flat[:, :, group.cells[s]].reshape(value.shape)
            sentence = (
                f"symmetry {s}, counted from 0: {name} after the image of a game is no image of "
                f"{name}; one permutation must hold for both players' views"
            )
            require(np.array_equal(getattr(seen, name)[:, lanes], value), sentence)


@_law
def action_names_are_unique_and_invert(game: Game) -> None:
    """Names have A different texts, whatever the case, and are read as printed; labels fit."""
    names = game.notation()
    height, width, _ = game.observation_shape
    require(len(names.actions) == game.num_actions, f"{len(names.actions)} names of actions")
    unique = len({name.casefold() for name in names.actions}) == game.num_actions
    require(unique, "two actions have the same name, apart from case")
    require(len(names.columns) == width, f"{len(names.columns)} labels of {width} columns")
    require(len(names.rows) in (0, height), f"{len(names.rows)} labels of {height} rows")
    for t in _plies(game):
        state = _state(play(game), t, 0)
        for action in np.flatnonzero(play(game).legal[t, 0])[:5].tolist():
            text = action_to_text(game, action, state)
            read = text_to_action(game, f" {text.upper()} ", state)
            require(read == action, f"action {action} is printed as {text!r} and read as {read}")


@_law
def board_text_is_read_as_printed(game: Game) -> None:
    """A printed board is read as the same board and player; the mark is on the last move."""
    record = play(game)
    for t in _plies(game):
        state, last = _state(record, t, 0), None
        if t > 0 and not record.terminal[t - 1, 0]:
            last = int(record.actions[t - 1, 0])
            cell = game.notation().find_cell(state, last)
            piece = 1 - 2 * record.player[t - 1, 0]
            right = cell is None or record.board[t, 0][cell] == piece
            require(right, f"find_cell returns {cell}, where the last mover has no piece")
        text = board_to_text(game, state, last)
        board, player = text_to_board(game, text)
        require(_same(board, record.board[t, 0]), f"another board is read:\n{text}")
        require(player == record.player[t, 0], f"another player to move is read:\n{text}")


@_law
def score_has_the_sign_of_the_outcome(game: Game) -> None:
    """A game that is decided by points is won by who has more of them."""
    record = play(game)
    if game.score(_state(record, 0, 0)) is None:
        require(game.komi is None, "it has a komi, but score returns None")
        return
    last = jax.tree.map(lambda leaf: leaf[-1], record.states)
    score = jax.jit(jax.vmap(game.score))(last)
    require((score.shape, score.dtype) == ((BATCH,), jnp.float32), "score is not float32 []")
    require(np.array_equal(np.sign(score), record.outcome[-1]), "their signs differ at the end")


@_law
def positional_game_fills_cells_until_one_wins(game: Game) -> None:
    """If `is_positional` is True: any empty cell can be claimed, and the own stones win alone."""
    if not game.is_positional:
        return
    record = play(game)
    require(game.can_start_from_board, "is_positional needs from_board")
    cells = record.board.reshape(*record.terminal.shape, -1)
    empty = (cells == 0).sum(axis=-1)
    require(not cells[0].any(), "the first board is not empty")
    choices = np.where(record.terminal, 0, empty)
    require(np.array_equal(record.legal.sum(axis=-1), choices), "an empty cell is not legal")
    sign = 1 - 2 * record.player
    gain = np.where(record.terminal[:-1, :, None], 0, cells[1:] - cells[:-1]).astype(int)
    placed = (np.abs(gain).sum(axis=-1), gain.sum(axis=-1))
    running = ~record.terminal[:-1]
    expected = (running, running * sign[:-1])
    require(_same_values(placed, expected), "a move does not put one stone of the mover")
    over = (record.outcome != 0) | (empty == 0)
    require(np.array_equal(record.terminal, over), "it ends before a win or a full board")
    winner = np.where(record.outcome == 0, -sign, record.outcome)  # who may have won: moved last
    alone = np.where(record.board == winner[:, :, None, None], record.board, 0).astype(np.int8)
    boards, players, outcomes = (x[:, :FEW] for x in (alone, record.player, record.outcome))
    outcome = _over_games(lambda b, p: game.outcome(game.from_board(b, p)))(boards, players)
    require(np.array_equal(outcome, outcomes), "a win depends on the other's stones")


def _play(game: Game, actions: np.ndarray) -> Record:
    """Plays BATCH games with `actions`, int32 [T + 1, BATCH]; −1: a random one."""
    states, played, seen = jax.tree.map(np.asarray, _program(game)(actions))
    return Record(states=states, actions=played, **seen)


@lru_cache(maxsize=1)
def _program(game: Game) -> Callable[[np.ndarray], Any]:
    """Compiles the games, once for those that are drawn and for their images."""

    def ply(states: Any, now: tuple[Array, Array]) -> tuple[Any, Any]:
        forced, key = now
        seen = jax.vmap(partial(look, game))(states)
        mask = seen["legal"] | seen["terminal"][:, None]
        drawn = jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf)).astype(jnp.int32)
        actions = jnp.where(forced < 0, drawn, forced)
        return jax.vmap(game.step)(states, actions), (states, actions, seen)

    def program(actions: Array) -> Any:
        first = jax.tree.map(lambda x: jnp.broadcast_to(x, (BATCH, *x.shape)), game.init())
        keys = jax.random.split(jax.random.key(7), len(actions))
        return jax.lax.scan(ply, first, (actions, keys))[1]

    return jax.jit(program)


@lru_cache(maxsize=1)
def _exchanged(game: Game) -> dict[str, np.ndarray]:
    """Returns what the game shows with the colors of the pieces and the mover exchanged."""
    record = play(game)
    exchange = _over_games(lambda b, p: look(game, game.from_board(-b, 1 - p)))
    return jax.tree.map(np.asarray, exchange(record.board, record.player))


def _over_games(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of one position for arrays [T, BATCH, ...]."""
    return jax.jit(jax.vmap(jax.vmap(function)))


def _state(record: Record, t: int, lane: int) -> State:
    """Returns one state of the record, on the device."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[t, lane]), record.states)


def _plies(game: Game) -> range:
    """Returns a few plies, from the first position to the end of the longest game."""
    return range(0, game.max_plies + 1, max(1, game.max_plies // TEXTS))


def _same(a: Any, b: Any) -> bool:
    """Tests whether both trees hold the same bits, dtypes included."""
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)


def _same_values(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
