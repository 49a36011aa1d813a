#!/bin/sh
# Redis for the farm: one user, who may do what Celery needs and nothing that administers a server.
# Whoever has no password may ask whether it is alive.
set -eu
umask 077
digest() { tr -d '\n' <"/run/secrets/$1" | sha256sum | cut -d ' ' -f 1; }
cat >/tmp/redis.conf <<CONF
user default reset on nopass +ping
user sparky reset on #$(digest redis_password) ~* &* -@all +@read +@write +@pubsub +@transaction +@connection +@blocking -@dangerous -@admin -@scripting +info +evalsha +script|load +script|exists +time
protected-mode no
dir /data
appendonly yes
appendfsync everysec
maxmemory $SPARKY_REDIS_MEMORY
maxmemory-policy noeviction
CONF
# Who counts what the server does and reads no key; not every tier has that.
if [ -e /run/secrets/monitor_password ]; then
    echo "user monitor reset on #$(digest monitor_password) +ping +info +client|setname +slowlog|len +slowlog|get +latency|latest" >>/tmp/redis.conf
fi
exec redis-server /tmp/redis.conf
