"""Care of the market database: indexes, cached queries, upkeep. SQL stays in preprocess.store."""
