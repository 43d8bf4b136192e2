#!/bin/sh
# Run once by PostgreSQL's image, when the database is new: the owner of the tables, and roles that `manage.py harden`
# gives their few rights. Passwords go in by standard input, so that no list of processes shows them.
set -eu
secrets=${SECRETS:-/run/secrets}

psql -v ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<SQL
CREATE ROLE holdgate_owner LOGIN PASSWORD '$(cat "$secrets/owner_password")';
CREATE ROLE holdgate_web LOGIN PASSWORD '$(cat "$secrets/web_password")';
CREATE ROLE holdgate_sequencer LOGIN PASSWORD '$(cat "$secrets/sequencer_password")';
CREATE ROLE holdgate_retention LOGIN PASSWORD '$(cat "$secrets/retention_password")';
ALTER DATABASE "$POSTGRES_DB" OWNER TO holdgate_owner;
ALTER SCHEMA public OWNER TO holdgate_owner;
REVOKE CONNECT, TEMPORARY ON DATABASE "$POSTGRES_DB" FROM PUBLIC;
GRANT CONNECT ON DATABASE "$POSTGRES_DB" TO holdgate_web, holdgate_sequencer, holdgate_retention;
SQL
