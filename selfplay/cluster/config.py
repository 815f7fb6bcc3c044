"""Where self-play runs. Nothing here may change a bit of what is computed, but for `lag`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterConfig:
    """Actors and the Ray cluster they live on.

    Attributes:
        actors: Ray actors that play; 0 plays in-process, without Ray; −1: one per core.
        address: an existing Ray cluster (``auto``, ``ray://host:port``); none starts a local one.
        connect_seconds: how long to wait for `address` to answer.
        cpus_per_actor, gpus_per_actor: what an actor takes of a node; fractions share a GPU.
        learner_devices: devices the gradient's shards are spread over; 0: all that divide them.
        object_store_mb: memory of a local cluster's object store.
        retries: how often one piece of work may lose its actor before the run stops.
    """

    actors: int = -1
    address: str | None = None
    connect_seconds: float = 15.0
    cpus_per_actor: float = 1.0
    gpus_per_actor: float = 0.0
    learner_devices: int = 0
    object_store_mb: int = 256
    retries: int = 5

    def __post_init__(self) -> None:
        if self.actors < -1:
            raise ValueError(
                f"cluster.actors must be -1 (one per core), 0 (in-process) or more, "
                f"got {self.actors}"
            )
        if self.actors == 0 and self.address:
            raise ValueError(
                f"cluster.address {self.address!r} needs actors, but cluster.actors is 0"
            )
        if self.object_store_mb < 80:
            raise ValueError(
                f"cluster.object-store-mb must be at least 80 (Ray's minimum), "
                f"got {self.object_store_mb}"
            )
