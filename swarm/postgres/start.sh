#!/bin/bash
# Postgres, primary or standby. Both services run this; who is which is decided at each start:
#
#   the data here follow a primary            go on following
#   the other one is primary now              set what is here aside, copy the other, follow it
#   there are data here                       be the primary
#   nothing is here, and this is `primary`    make a new database
#   nothing is here, and this is `standby`    wait for the other, copy it, follow it
#
# So a primary that comes back after its standby was promoted does not speak beside it, and not either when both
# come back together: the one that has been followed hears the other first, the one that was promoted has not.
set -euo pipefail
umask 077
: "${SPARKY_POSTGRES_ROLE:?primary or standby}" "${SPARKY_POSTGRES_PEER:?the name of the other one}"
home=/var/lib/postgresql
export PGDATA=$home/sparky PGPASSFILE=/tmp/pgpass
secrets=${SPARKY_SECRETS:-/run/secrets}

say() { printf 'postgres: %s\n' "$*" >&2; }
secret() { tr -d '\n' <"$secrets/$1"; }
literal() { secret "$1" | sed "s/'/''/g; s/^/'/; s/\$/'/"; }
peer() { psql -XAtq "host=$SPARKY_POSTGRES_PEER user=replication dbname=postgres connect_timeout=3" -c "$1"; }
peer_answers() { pg_isready -q -h "$SPARKY_POSTGRES_PEER"; }
peer_is_primary() { [ "$(peer 'SELECT NOT pg_is_in_recovery()' 2>/dev/null)" = t ]; }

# libpq wants `:` and `\` escaped in its password file.
printf '*:*:*:replication:%s\n' "$(secret replication_password | sed 's/[\\:]/\\&/g')" >"$PGPASSFILE"

settings() {
    cat >"$PGDATA/pg_hba.conf" <<'CONF'
local all         all                         trust
host  replication replication 0.0.0.0/0       scram-sha-256
host  all         all         0.0.0.0/0       scram-sha-256
host  all         all         127.0.0.1/32    scram-sha-256
CONF
    cat >"$PGDATA/sparky.conf" <<CONF
listen_addresses = '*'
unix_socket_directories = '/tmp'
max_connections = $SPARKY_POSTGRES_CONNECTIONS
shared_buffers = '$SPARKY_POSTGRES_BUFFERS'
dynamic_shared_memory_type = mmap
wal_level = replica
wal_log_hints = on
synchronous_commit = remote_write
wal_sender_timeout = 15s
max_slot_wal_keep_size = '$SPARKY_POSTGRES_WAL_KEPT'
hot_standby = on
log_destination = stderr
log_line_prefix = '%m [%p] %u@%d '
CONF
    grep -qsx "include = 'sparky.conf'" "$PGDATA/postgresql.conf" || echo "include = 'sparky.conf'" >>"$PGDATA/postgresql.conf"
}

# Runs SQL with no server running, thus without a standby; makes passwords fit the secrets, which may have
# changed. Sparky counts the standbys, which only who may read all statistics sees.
single() { postgres --single -j -c synchronous_commit=local -D "$PGDATA" "$1" >/dev/null; }
passwords() {
    single postgres <<SQL
ALTER ROLE sparky LOGIN PASSWORD $(literal postgres_password);

ALTER ROLE replication LOGIN REPLICATION PASSWORD $(literal replication_password);

GRANT pg_read_all_stats TO sparky;
SQL
    # Who counts what the server does and reads no table; not every tier has that.
    [ -e "$secrets/monitor_password" ] || return 0
    single postgres <<SQL
DO \$\$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') THEN CREATE ROLE monitor; END IF; END\$\$;

GRANT pg_monitor TO monitor;

ALTER ROLE monitor LOGIN CONNECTION LIMIT 10 PASSWORD $(literal monitor_password);
SQL
}

make() {
    say "making a new database"
    local data=$PGDATA
    export PGDATA=$home/making
    rm -rf "$PGDATA"
    initdb --username=postgres --auth=scram-sha-256 --pwfile=<(head -c 32 /dev/urandom | base64) --encoding=UTF8 --locale=C.UTF-8 --no-instructions >/dev/null
    settings
    single postgres <<'SQL'
CREATE ROLE sparky;

CREATE ROLE replication;

CREATE DATABASE sparky OWNER sparky;
SQL
    single sparky <<<'CREATE EXTENSION vector;'
    # Complete, and only now in its place.
    mv "$PGDATA" "$data"
    export PGDATA=$data
}

follow() {
    say "copying $SPARKY_POSTGRES_PEER"
    until peer_is_primary; do sleep 1; done
    peer "SELECT pg_create_physical_replication_slot('$SPARKY_POSTGRES_ROLE') WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '$SPARKY_POSTGRES_ROLE')" >/dev/null
    rm -rf "$home/copying"
    pg_basebackup --dbname="host=$SPARKY_POSTGRES_PEER user=replication" --pgdata="$home/copying" \
        --wal-method=stream --write-recovery-conf --slot="$SPARKY_POSTGRES_ROLE" --checkpoint=fast
    mv "$home/copying" "$PGDATA"
}

# Has commits wait for whoever follows, and for nobody when nobody does.
attend() {
    while sleep 3; do
        psql -XAtq -h /tmp -U postgres postgres >/dev/null 2>&1 <<'SQL' || true
SELECT format('ALTER SYSTEM SET synchronous_standby_names = %L', wanted)
FROM (SELECT CASE count(*) WHEN 0 THEN '' ELSE 'walreceiver' END AS wanted
      FROM pg_stat_replication WHERE application_name = 'walreceiver' AND state = 'streaming') AS now
WHERE NOT pg_is_in_recovery() AND wanted <> current_setting('synchronous_standby_names')
\gexec
SELECT pg_reload_conf() FROM pg_file_settings
WHERE name = 'synchronous_standby_names' AND setting <> current_setting(name)
SQL
    done
}

# Who follows has a slot here, which its own copy does not have.
followed() { [ -n "$(ls -A "$PGDATA/pg_replslot")" ]; }

# Waits until the other one answers, or 20 seconds for one that is gone.
hear() {
    local until=$((SECONDS + 20))
    until peer_answers || [ "$SECONDS" -ge "$until" ]; do sleep 1; done
}

[ ! -e "$PGDATA/PG_VERSION" ] || [ -e "$PGDATA/standby.signal" ] || ! followed || hear
if [ -e "$PGDATA/standby.signal" ]; then
    say "following $SPARKY_POSTGRES_PEER"
elif [ -e "$PGDATA/PG_VERSION" ] && peer_is_primary; then
    say "$SPARKY_POSTGRES_PEER is the primary now; what is here is set aside in $home/aside"
    rm -rf "$home/aside"
    mv "$PGDATA" "$home/aside"
    follow
elif [ -e "$PGDATA/PG_VERSION" ]; then
    say "primary"
    settings
    passwords
elif [ "$SPARKY_POSTGRES_ROLE" = primary ] && ! peer_is_primary; then
    make
    passwords
else
    follow
fi
settings
# The child of whoever reaps orphans here, and not of Postgres, which takes its children for its own.
(attend &)
exec postgres
