"""Tree search: improves the network's policy at a batch of states."""
