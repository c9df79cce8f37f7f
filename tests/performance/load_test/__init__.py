"""What `tezi bench load` and the locustfile are made of."""
