#!/bin/sh
# Redis for the farm: one user, who may do what Celery needs and nothing that administers a server.
# Whoever has no password may ask whether it is alive.
set -eu
umask 077
hash=$(tr -d '\n' </run/secrets/redis_password | sha256sum | cut -d ' ' -f 1)
cat >/tmp/redis.conf <<CONF
user default reset on nopass +ping
user sparky reset on #$hash ~* &* -@all +@read +@write +@pubsub +@transaction +@connection +@blocking -@dangerous -@admin -@scripting +info +evalsha +script|load +script|exists +time
protected-mode no
dir /data
appendonly yes
appendfsync everysec
maxmemory $SPARKY_REDIS_MEMORY
maxmemory-policy noeviction
CONF
exec redis-server /tmp/redis.conf
