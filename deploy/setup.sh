#!/bin/sh
# Writes what docker-compose.yml needs and git must not hold: configuration, registration, passwords. What is there is kept, so
# that every start may run it. `setup.sh token` prints the token with which an account is made.
#
# A folder below SECRETS is one volume, mounted by one service only. The users of the images differ, hence files that everyone
# in that one container may read; what is in STATE is for doorward alone.
set -eu

STATE=${STATE:-/var/lib/doorward}
SECRETS=${SECRETS:-/secrets}
HOMESERVER=${HOMESERVER:-http://tuwunel:8008}
SERVER_NAME=${SERVER_NAME:-doorward.local}
APPSERVICE=${APPSERVICE:-http://doorward:9009}

# 192 random bits in hexadecimal.
secret() {
    head -c 32 /dev/urandom | sha256sum | cut -c 1-48
}

# Standard input as a file with a mode, whole or not at all; a file that is there is kept.
keep() {
    if [ -e "$1" ]; then
        cat > /dev/null
        return
    fi
    (umask 077 && cat > "$1.new")
    chmod "$2" "$1.new"
    mv "$1.new" "$1"
}

if [ "${1:-}" = token ]; then
    cat "$SECRETS/tuwunel/registration-token"
    exit
fi

if [ ! -e "$STATE/registration.yaml" ]; then
    doorward init --homeserver "$HOMESERVER" --server-name "$SERVER_NAME" --out "$STATE" > /dev/null
fi
mkdir -p "$SECRETS/tuwunel/appservices"
# `init` writes the address for one machine; here the homeserver is in another container.
sed "s#^url: .*#url: $APPSERVICE#" "$STATE/registration.yaml" | keep "$SECRETS/tuwunel/appservices/doorward.yaml" 0444
secret | keep "$SECRETS/tuwunel/registration-token" 0444

secret | keep "$SECRETS/postgres/password" 0444
# The PostgreSQL password file: https://www.postgresql.org/docs/current/libpq-pgpass.html
printf 'postgres:5432:*:doorward:%s\n' "$(cat "$SECRETS/postgres/password")" | keep "$STATE/pgpass" 0600

printf '{"identities": [{"name": "doorward", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Admin"]}]}\n' \
    "$(secret)" "$(secret)" | keep "$SECRETS/s3/s3.json" 0444

cat <<END
Ready. Element will be at http://127.0.0.1:8080: choose "Create account" there. It asks for a token, which is printed by

    docker compose run --rm init token

Then invite @manager:$SERVER_NAME to a room.
END
