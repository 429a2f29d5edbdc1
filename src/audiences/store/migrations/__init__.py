"""Alembic migrations of the catalog, in the order of their numbers."""
