"""Work as a pure plan, actors that do it anywhere, and the pool between them."""
