"""The two tiers of a cache, and what both need: values as bytes, one computation a key."""
