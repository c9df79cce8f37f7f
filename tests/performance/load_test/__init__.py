"""What `python -m tests.performance load` and the locustfile are made of."""
