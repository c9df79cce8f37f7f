"""What clients of Triton need: a gRPC channel, the ensembles' request and answer, tensors."""
