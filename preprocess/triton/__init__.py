"""What clients of Triton need: the ensembles' outputs, and tensors as bytes."""
