"""A made-up market, so that everything can be tried without real data."""
