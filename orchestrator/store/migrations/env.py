"""Run by Alembic for each upgrade, in the transaction of whoever asks for it."""

from alembic import context

from orchestrator.store.schema import VERSION_TABLE, schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema, version_table=VERSION_TABLE)
context.run_migrations()
