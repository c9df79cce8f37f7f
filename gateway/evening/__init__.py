"""The evening run: every active stock scored through Triton, stored, written out and reported."""
