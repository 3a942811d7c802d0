"""The observations of runs, in SQL: SQLite by default, PostgreSQL where several orchestrators share a run."""
