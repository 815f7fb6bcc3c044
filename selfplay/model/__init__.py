"""Networks: their architectures, their parameters, and the FLOPs of an evaluation."""
