"""Work as a pure plan, the actors that do it anywhere, and the pool that hands it out."""
