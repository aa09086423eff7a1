# shellcheck shell=bash disable=SC2154 # $project comes from bin/services
# Servers from docker-compose.yml, for bin/services.

# The client alone is not enough: an engine must answer, and compose must exist.
docker_answers() {
  command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1
}

compose() { docker compose --project-directory "$project" "$@"; }

inner_port() { case $1 in postgres) echo 5432 ;; redis) echo 6379 ;; elasticsearch) echo 9200 ;; esac; }

# Prints the loopback port of the container of server $1; nothing if it is down.
docker_port() { compose port "$1" "$(inner_port "$1")" 2>/dev/null | sed -n 's/.*:\([1-9][0-9]*\)$/\1/p'; }

docker_start() {
  local port; port=$(docker_port "$1")
  if [ -z "$port" ] || ! answers "$1" "$port"; then
    port=${port:-$(free_port "$1")}
    say "$1: starting in Docker on port $port"
    env "${1^^}_PORT=$port" docker compose --project-directory "$project" up --detach --wait --wait-timeout 300 "$1" >&2 || return 1
  fi
  report "$1"
}

docker_stop() { [ -z "$(docker_port "$1")" ] || { say "$1: stopping"; compose stop "$1" >&2; }; }

docker_reset() {
  local volume; volume=$(compose config --format json | sed -n "s/.*\"name\": \"\([a-z0-9_-]*_$1\)\".*/\1/p")
  compose rm --stop --force "$1" >&2
  [ -z "$volume" ] || docker volume rm --force "$volume" >/dev/null
  say "$1: data deleted"
}
