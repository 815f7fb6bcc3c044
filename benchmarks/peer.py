"""The peer: pgx's AlphaZero example, playing Connect Four on a CPU.

An independent implementation of the algorithm in ``examples/alphazero`` of github.com/sotetsuk/pgx
(read at commit 1001ab3), in flax instead of haiku, so that our figures are ratios to
something that others know.

Kept:
    * pgx's rules and its state as the node of the search tree; games restart through pgx's
      ``auto_reset``.
    * mctx's Gumbel MuZero policy, 32 simulations, gumbel_scale 1, completed-by-mix-value
      Q-transform with mctx's defaults; discount -1, 0 at a terminal node.
    * Every iteration starts all lanes from the empty board, plays `steps` plies, and trains once
      over the shuffled plies: no window, no reuse, no symmetry, no averaging of weights.
    * Targets: the search's action weights, and the game's outcome by a reverse scan; the value
      loss of plies whose game was cut off is masked, their policy loss is not.
    * Loss: mean cross-entropy + mean of half the squared error; Adam, constant 1e-3.
    * ResNet v2 with BatchNorm (decay 0.9, eps 1e-5), the running statistics used in self-play;
      the policy head with 2 channels, the value head with 1 and a hidden layer.
    * No use of `truncated`, and the ``terminated`` flag that ``auto_reset`` leaves on a fresh
      board: pgx does not step a state that carries it, so the first ply of every game but an
      iteration's first is chosen by the prior. `clear_reset_flag` repairs that.

Scaled to a CPU (original, for 9x9 Go on several accelerators, in brackets):
    lanes 64 [1024], steps 64 [256], training batch 128 [4096], channels 32 [128], blocks 3 [6].
    Tried for up to 170 CPU seconds on one thread: 64 x 64 plies with batch 128 (one run with and
    one without `clear_reset_flag`, and a second seed without), 128 x 64 with 256 (two seeds),
    256 x 42 with 512. The last was at chance on solved positions and is left out; the others
    could not be told apart, and 64 x 64 takes the most updates in a second.

Changed, none of it to the peer's disadvantage:
    * The running statistics start at mean 0, variance 1. Haiku's start at 0, 0, which multiplies
      activations by 316 a layer throughout the first iteration of self-play.
    * Weights start from flax's LeCun-normal; haiku's truncated normal is 12 % narrower.
    * ``jit`` for ``pmap`` (one process, one device); no evaluation, logging or checkpoint is
      inside the measured time.

The original evaluates by sampling from the raw policy. :func:`apply` is there so that an exam
can put this network behind the same search as ours.
"""

# pgx's and mctx's chex dataclasses hide their fields and methods from type checkers.
# pyright: basic, reportCallIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mctx
import optax
import pgx
from jax import Array
from pgx.experimental import auto_reset

from benchmarks.peer_network import Model, Network, apply

ENV_ID = "connect_four"


@dataclass(frozen=True)
class PeerConfig:
    """The peer's settings; see the module's docstring for what is original."""

    num_channels: int = 32
    num_blocks: int = 3
    lanes: int = 64
    steps: int = 64
    num_simulations: int = 32
    training_batch: int = 128
    learning_rate: float = 1e-3
    seed: int = 0
    clear_reset_flag: bool = False

    def __post_init__(self) -> None:
        if self.lanes * self.steps % self.training_batch:
            raise ValueError(
                f"training_batch={self.training_batch} must divide lanes*steps = "
                f"{self.lanes}*{self.steps} = {self.lanes * self.steps}: "
                "the example trains on every ply of an iteration exactly once"
            )


class Plies(NamedTuple):
    """What self-play recorded; every leaf is ``[steps, lanes, ...]``."""

    observation: Array  # bool [T, B, 6, 7, 2]
    action_weights: Array  # [T, B, A]
    reward: Array  # [T, B], for the player who moved
    terminated: Array  # bool [T, B], True = this ply ended the game
    discount: Array  # [T, B], -1, or 0 where the game ended


class Sample(NamedTuple):
    """What the network is trained on; N = steps · lanes."""

    observation: Array  # bool [N, 6, 7, 2]
    policy_target: Array  # [N, A]
    value_target: Array  # [N], for the player to move
    mask: Array  # bool [N], True = the game reached its end within the segment


class Progress(NamedTuple):
    """One iteration, for whoever watches."""

    seconds: float  # of training so far
    plies: int  # played and trained on so far
    policy_loss: float
    value_loss: float


def _recurrent_fn(
    env: pgx.Env, model: Model, key: Array, action: Array, state: pgx.State
) -> tuple[mctx.RecurrentFnOutput, pgx.State]:
    """One step inside the tree, with pgx's rules as the model of the game."""
    del key
    mover = state.current_player
    state = jax.vmap(env.step)(state, action)
    logits, value = apply(model, state.observation)
    logits = logits - logits.max(axis=-1, keepdims=True)
    over = state.terminated
    output = mctx.RecurrentFnOutput(
        reward=_reward_of(state, mover),
        discount=jnp.where(over, 0.0, -1.0),
        prior_logits=jnp.where(state.legal_action_mask, logits, jnp.finfo(logits.dtype).min),
        value=jnp.where(over, 0.0, value),
    )
    return output, state


def _reward_of(state: pgx.State, player: Array) -> Array:
    return jnp.take_along_axis(state.rewards, player[:, None], axis=1)[:, 0]  # [B]


def make_selfplay(
    config: PeerConfig,
) -> tuple[Callable[[Array], Model], Callable[[Model, Array], Plies]]:
    """Returns ``init_model(key)`` and the jitted ``selfplay(model, key)``.

    A call plays ``config.lanes * config.steps`` plies, all lanes from the empty board.
    """
    env = pgx.make(ENV_ID)

    def init_model(key: Array) -> Model:
        network = Network(config.num_channels, config.num_blocks)
        variables = network.init(key, jnp.zeros((1, *env.observation_shape), bool), False)
        return Model(variables["params"], variables["batch_stats"])

    def ply(model: Model, state: pgx.State, key: Array) -> tuple[pgx.State, Plies]:
        key_search, key_reset = jax.random.split(key)
        embedding = state
        if config.clear_reset_flag:
            embedding = state.replace(terminated=jnp.zeros_like(state.terminated))
        logits, value = apply(model, state.observation)
        search = mctx.gumbel_muzero_policy(
            params=model,
            rng_key=key_search,
            root=mctx.RootFnOutput(prior_logits=logits, value=value, embedding=embedding),
            recurrent_fn=partial(_recurrent_fn, env),
            num_simulations=config.num_simulations,
            invalid_actions=~state.legal_action_mask,
            qtransform=mctx.qtransform_completed_by_mix_value,
            gumbel_scale=1.0,
        )
        keys = jax.random.split(key_reset, config.lanes)
        after = jax.vmap(auto_reset(env.step, env.init))(state, search.action, keys)
        return after, Plies(
            observation=state.observation,
            action_weights=search.action_weights,
            reward=_reward_of(after, state.current_player),
            terminated=after.terminated,
            discount=jnp.where(after.terminated, 0.0, -1.0),
        )

    @jax.jit
    def selfplay(model: Model, key: Array) -> Plies:
        key_init, key_play = jax.random.split(key)
        state = jax.vmap(env.init)(jax.random.split(key_init, config.lanes))
        keys = jax.random.split(key_play, config.steps)
        _, plies = jax.lax.scan(partial(ply, model), state, keys)
        return plies

    return init_model, selfplay


@jax.jit
def make_samples(plies: Plies, key: Array) -> Sample:
    """Value targets by a scan from the end, then all plies in random order."""

    def backwards(after: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, discount = step
        value = reward + discount * after
        return value, value

    start = jnp.zeros_like(plies.reward[0])
    _, value = jax.lax.scan(backwards, start, (plies.reward, plies.discount), reverse=True)
    ended = jnp.flip(jnp.cumsum(jnp.flip(plies.terminated, 0), 0), 0) > 0  # here or later
    samples = Sample(plies.observation, plies.action_weights, value, ended)
    order = jax.random.permutation(key, value.size)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[order], samples)


def make_update(
    config: PeerConfig,
) -> tuple[
    optax.GradientTransformation,
    Callable[[Model, optax.OptState, Sample], tuple[Model, optax.OptState, Array, Array]],
]:
    """Returns the optimizer and the jitted step, which also gives policy and value loss."""
    optimizer = optax.adam(config.learning_rate)
    network = Network(config.num_channels, config.num_blocks)

    def loss_fn(params: Any, batch_stats: Any, batch: Sample) -> tuple[Array, Any]:
        variables = {"params": params, "batch_stats": batch_stats}
        (logits, value), new = network.apply(
            variables, batch.observation, True, mutable=["batch_stats"]
        )
        policy_loss = optax.softmax_cross_entropy(logits, batch.policy_target).mean()
        value_loss = (optax.l2_loss(value, batch.value_target) * batch.mask).mean()
        return policy_loss + value_loss, (new["batch_stats"], policy_loss, value_loss)

    @jax.jit
    def update(
        model: Model, opt_state: optax.OptState, batch: Sample
    ) -> tuple[Model, optax.OptState, Array, Array]:
        grads, (batch_stats, policy_loss, value_loss) = jax.grad(loss_fn, has_aux=True)(
            model.params, model.batch_stats, batch
        )
        updates, opt_state = optimizer.update(grads, opt_state)
        params = optax.apply_updates(model.params, updates)
        return Model(params, batch_stats), opt_state, policy_loss, value_loss

    return optimizer, update


def train(
    config: PeerConfig,
    seconds: float,
    on_eval: Callable[[float, Model], None],
    eval_at: Sequence[float],
    on_iteration: Callable[[Progress], None] | None = None,
) -> Model:
    """Trains for `seconds`, compilation and callbacks not counted, and returns the model.

    `on_eval` is called at the end of the first iteration past each time in `eval_at` (once where
    an iteration passes several), and at the end of training. The iteration under way when time
    is up is finished, and its time counts in what `on_eval` receives.
    """
    init_model, selfplay = make_selfplay(config)
    optimizer, update = make_update(config)
    num_updates = config.lanes * config.steps // config.training_batch

    def iteration(
        model: Model, opt_state: optax.OptState, key: Array
    ) -> tuple[Model, optax.OptState, float, float]:
        key_play, key_shuffle = jax.random.split(key)
        samples = make_samples(selfplay(model, key_play), key_shuffle)
        batches = jax.tree.map(lambda x: x.reshape(num_updates, -1, *x.shape[1:]), samples)
        losses = []
        for i in range(num_updates):
            batch = jax.tree.map(lambda x, i=i: x[i], batches)
            model, opt_state, policy_loss, value_loss = update(model, opt_state, batch)
            losses.append((policy_loss, value_loss))
        mean = jnp.asarray(losses).mean(axis=0).tolist()  # waits for the devices
        return model, opt_state, mean[0], mean[1]

    key_model, key_train = jax.random.split(jax.random.key(config.seed))
    model = init_model(key_model)
    opt_state = optimizer.init(model.params)
    jax.block_until_ready(iteration(model, opt_state, key_train))  # compiles; result thrown away

    elapsed, plies, done = 0.0, 0, 0
    pending = sorted(eval_at)
    while elapsed < seconds:
        start = time.perf_counter()
        model, opt_state, policy_loss, value_loss = iteration(
            model, opt_state, jax.random.fold_in(key_train, done)
        )
        jax.block_until_ready(model)
        elapsed += time.perf_counter() - start
        done += 1
        plies += config.lanes * config.steps
        if on_iteration is not None:
            on_iteration(Progress(elapsed, plies, policy_loss, value_loss))
        if elapsed >= seconds or (pending and elapsed >= pending[0]):
            pending = [moment for moment in pending if moment > elapsed]
            on_eval(elapsed, model)
    return model


@cache
def check_orientation() -> None:
    """Raises unless pgx shows boards as :func:`apply` promises: row 0 on top, mine first."""
    env = pgx.make(ENV_ID)
    state = env.step(env.init(jax.random.key(0)), jnp.int32(2))
    theirs = state.observation[:, :, 1]  # the mover's disc, now the opponent's
    if not (theirs[5, 2] and state.observation.sum() == 1):
        raise RuntimeError(f"pgx {pgx.__version__} lays Connect Four out differently:\n{theirs}")
