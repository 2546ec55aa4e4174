"""
Where Alembic enters. One environment serves both schemas: scanner.database chooses the folder of
versions and the version table, and hands over a connection that is already in a transaction.
"""

from alembic import context


def run() -> None:
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        version_table=attributes["version_table"],
    )
    with context.begin_transaction():
        context.run_migrations()


run()
