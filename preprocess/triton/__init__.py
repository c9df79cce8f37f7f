"""What every gRPC client of Triton needs: the channel, the ensembles' request and answer."""
