"""The learner: sources of batches, loss, optimizer, and gradients summed from shards."""
