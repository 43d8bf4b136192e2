#!/bin/sh
# Makes the secrets of compose.yaml: random, one to a file, never printed. What is there already is left as it is.
# new-secrets.sh [FOLDER], by default the folder `secrets` beside this script.
set -eu
umask 077
cd "$(dirname "$0")"
folder=${1:-secrets}
mkdir -p "$folder"
cd "$folder"

# keep FILE TEXT: containers read these as a user of their own, whom the folder's 0700 on this machine does not concern.
keep() {
    [ -s "$1" ] || { printf '%s' "$2" >"$1.new" && chmod 444 "$1.new" && mv "$1.new" "$1"; }
}
random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

for name in postgres_password owner_password web_password sequencer_password retention_password redis_password secret_key; do
    keep "$name" "$(random)"
done
keep database_owner "postgresql://holdgate_owner:$(cat owner_password)@postgres:5432/holdgate"
keep database_web "postgresql://holdgate_web:$(cat web_password)@postgres:5432/holdgate"
keep database_sequencer "postgresql://holdgate_sequencer:$(cat sequencer_password)@postgres:5432/holdgate"
keep database_retention "postgresql://holdgate_retention:$(cat retention_password)@postgres:5432/holdgate"
keep redis_url "redis://:$(cat redis_password)@redis:6379/0"
