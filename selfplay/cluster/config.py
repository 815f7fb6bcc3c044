"""Settings of actors and of the Ray cluster (section `cluster`).

Nothing here changes what is computed, except `allow_mismatched_actors`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GPU_MEMORY_FRACTION = 0.9  # of an actor's share of a GPU; the rest is for kernels and libraries
PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"


Nodes = Sequence[Mapping[str, float]]
"""The resources of every node of a cluster."""


def gpu_memory_env(fraction: float) -> dict[str, str]:
    """Returns variables that limit a process to a fraction of a GPU's memory.

    The old name is set to "", because JAX refuses to start if both names have a value.
    """
    return {"XLA_CLIENT_MEM_FRACTION": f"{fraction:.3f}", "XLA_PYTHON_CLIENT_MEM_FRACTION": ""}


@dataclass(frozen=True)
class ClusterConfig:
    """Actors and the Ray cluster they run on.

    Attributes:
        actors: Ray actors that play; 0 plays in-process, without Ray; −1: as many as there are
            streams and room for, on a cluster also in nodes that come later.
        address: an existing Ray cluster, as HOST:PORT (or ``auto``); a local one if left out.
        connect_seconds: how long to wait for `address` to answer.
        cpus_per_actor: CPU cores of a node that each actor takes.
        gpus_per_actor: GPUs of a node that each actor takes; a fraction shares one and its memory.
            With 0 (and no TPU among its resources) an actor plays on the CPU.
        actor_resources: what else an actor takes, NAME=AMOUNT each, as in TPU=1; one plays on one
            chip, so more would idle.
        allow_mismatched_actors: admit actors whose fingerprint differs from the run's. Results
            then depend on which actor played what, and the manifest says so.
        learner_devices: devices the gradient's shards are spread over; 0: all that divide them.
        object_store_mb: memory of a local cluster's object store.
        retries: how often one piece of work may lose its actor before the run stops.
    """

    actors: int = -1
    address: str | None = None
    connect_seconds: float = 15.0
    cpus_per_actor: float = 1.0
    gpus_per_actor: float = 0.0
    actor_resources: tuple[str, ...] = ()
    allow_mismatched_actors: bool = False
    learner_devices: int = 0
    object_store_mb: int = 256
    retries: int = 5

    def __post_init__(self) -> None:
        if self.actors < -1:
            raise ValueError(
                f"cluster.actors must be -1 (as many as there are streams and room for), "
                f"0 (in-process) or more, got {self.actors}"
            )
        if self.actors == 0 and self.address:
            raise ValueError(
                f"cluster.address {self.address!r} needs actors, but cluster.actors is 0 (the "
                "presets for one accelerator play in process): add --cluster.actors -1"
            )
        if self.address not in (None, "auto") and not self.address.rpartition(":")[2].isdigit():
            raise ValueError(
                f"cluster.address {self.address!r} has no port: HOST:PORT, as in 127.0.0.1:6379"
            )
        if self.object_store_mb < 80:
            raise ValueError(
                f"cluster.object-store-mb must be at least 80 (Ray's minimum), "
                f"got {self.object_store_mb}"
            )
        for name in ("cpus_per_actor", "gpus_per_actor"):
            value = getattr(self, name)
            if value < 0 or (value > 1 and value != int(value)):
                raise ValueError(
                    f"cluster.{name.replace('_', '-')} must be between 0 and 1, or a whole "
                    f"number, got {value:g}"
                )
        if not self.resources_per_actor:
            raise ValueError(
                "one of cluster.cpus-per-actor, cluster.gpus-per-actor and cluster.actor-resources "
                "must be above 0, all of them are 0"
            )

    @property
    def resources(self) -> dict[str, float]:
        """`actor_resources` as name → amount."""
        resources = {}
        for text in self.actor_resources:
            name, _, amount = text.partition("=")
            try:
                resources[name] = float(amount)
            except ValueError:
                resources[name] = -1.0
            if not name or not resources[name] > 0 or name in ("CPU", "GPU"):
                raise ValueError(
                    f"cluster.actor-resources {text!r} is not NAME=AMOUNT as in TPU=1; CPUs and "
                    "GPUs have options of their own"
                )
        return resources

    @property
    def resources_per_actor(self) -> dict[str, float]:
        """Everything that one actor takes, by Ray's resource names."""
        resources = {"CPU": self.cpus_per_actor, "GPU": self.gpus_per_actor} | self.resources
        return {name: amount for name, amount in resources.items() if amount}

    def capacity(self, nodes: Nodes) -> int:
        """Returns how many actors fit into these nodes."""

        def fits(node: Mapping[str, float], name: str, amount: float) -> int:
            available = node.get(name, 0.0)
            if name == "GPU" and amount < 1:  # a fraction is of one card
                return math.floor(available) * math.floor(1 / amount + 1e-9)
            return math.floor(available / amount + 1e-9)

        return sum(
            min(fits(node, *need) for need in self.resources_per_actor.items()) for node in nodes
        )

    def target_actors(self, nodes: Nodes, limit: int) -> int:
        """Returns how many actors should run on these nodes if there is work for `limit`.

        At least one, so that an autoscaling cluster adds a node.
        """
        return self.actors if self.actors > 0 else max(1, min(limit, self.capacity(nodes)))

    def shortage(self, nodes: Nodes) -> str:
        """Returns what the nodes lack for the configured actors (at least one); "" if nothing."""
        capacity, wanted = self.capacity(nodes), max(1, self.actors)
        if capacity >= wanted:
            return ""
        amounts = self.resources_per_actor
        needs = ", ".join(f"{name} {amount:g}" for name, amount in amounts.items())
        has = ", ".join(f"{name} {sum(n.get(name, 0) for n in nodes):g}" for name in amounts)
        spread = f" on {len(nodes)} nodes" if len(nodes) > 1 else ""
        return (
            f"there is room for {capacity} of {wanted} actors: each takes {needs}, "
            f"and there is {has}{spread}"
        )

    def actor_environment(self) -> dict[str, str]:
        """Returns variables of an actor's process that select its devices and its share of them."""
        if self.on_cpu:
            return {"JAX_PLATFORMS": "cpu"}
        variables = {"JAX_PLATFORMS": ""}  # do not inherit the driver's platform
        if 0 < self.gpus_per_actor < 1:
            variables |= gpu_memory_env(GPU_MEMORY_FRACTION * self.gpus_per_actor) | {
                PREALLOCATE: "true"
            }
        return variables

    @property
    def on_cpu(self) -> bool:
        """True = actors play on the CPU, whatever devices their nodes have."""
        return not self.gpus_per_actor and "TPU" not in self.resources

    def idle_accelerator(self, platform: str, kind: str) -> str:
        """Returns a warning if actors play on the CPU while the driver has an accelerator, else "".

        Args:
            platform: the driver's JAX platform, for example "gpu".
            kind: its device kind, for example "NVIDIA H100".
        """
        if not self.actors or not self.on_cpu or platform == "cpu":
            return ""
        remedy = "--cluster.actors 0 plays on it as well, in this process"
        if self.address:
            option = "actor-resources TPU=1" if platform == "tpu" else "gpus-per-actor 1"
            remedy = f"--cluster.{option} gives each actor one of its node's"
        return f"actors play on CPUs while this machine's {platform} ({kind}) only learns; {remedy}"

    def learner_environment(self) -> dict[str, str]:
        """Returns variables of the learner's process, which may share GPUs with local actors."""
        shares = self.actors and not self.address and self.gpus_per_actor
        return {PREALLOCATE: "false"} if shares else {}  # otherwise JAX preallocates three quarters
