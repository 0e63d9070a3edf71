"""What Alembic runs; the connection is always handed in (see controller/store/migrate.py)."""

from alembic import context

from controller.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
