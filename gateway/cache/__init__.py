"""A cache in two tiers, the process and Redis, with single flight."""
