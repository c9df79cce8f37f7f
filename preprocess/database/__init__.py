"""The weekly maintenance of the market database and the data folder."""
