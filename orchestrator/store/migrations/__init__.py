"""How the tables of a store came to be what they are, one version a file. Run by Alembic."""
