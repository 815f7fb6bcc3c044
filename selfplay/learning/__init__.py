"""The learner: sources of batches, losses, the optimizer, sharded gradients."""
