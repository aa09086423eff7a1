# shellcheck shell=bash disable=SC2154 # $project comes from bin/services
# Local servers below .services/, for bin/services. Missing programs come from Debian's packages (as root) and from Maven
# Central, which has both servers as artifacts.
#
# A server's processes are recognised by working folder and program. A pidfile is wrong after a kill -9, or when another process
# has the pid.

postgres_version=18.1.0
elasticsearch_version=${ELASTICSEARCH_VERSION:-8.19.8}
state=

# Sets $user, who runs the servers, and $state, their folder, and takes the lock. Once.
local_prepare() {
  [ -z "$state" ] || return 0
  state=$project/.services
  user=$(id -un)
  if [ "$(id -u)" = 0 ]; then
    choose_user
    # If only root can enter the checkout, the servers could not reach their data; it then lives elsewhere, behind a link.
    if ! as_server test -x "$project"; then
      state=/var/lib/collections-services/$(basename "$project")-$(printf %s "$project" | sha256sum | cut -c1-8)
      mkdir -p "$(dirname "$state")"
      [ -L "$project/.services" ] || [ ! -e "$project/.services" ] || mv -T "$project/.services" "$state" 2>/dev/null ||
        fail "there is data in $project/.services and in $state; delete one of them"
      ln -sfn "$state" "$project/.services"
    fi
    mkdir -p "$state" && chown "$user:" "$state"
  elif ! mkdir -p "$state" 2>/dev/null || [ ! -w "$state" ]; then
    fail "$state belongs to $(stat -Lc %U "$state" 2>/dev/null || echo another user); run as that user or as root"
  fi
  state=$(cd "$state" && pwd -P)
  cd "$state" || exit
  as_server touch lock install.log fetch.log
  exec 9<lock
  flock -n 9 || { say "waiting for another bin/services to finish"; flock 9; }
}

# The servers refuse to run as root. The owner of an earlier start or of the checkout runs them if possible, so that root and
# that user can alternate.
choose_user() {
  user=$(stat -Lc %U "$state" 2>/dev/null || stat -c %U "$project")
  case $user in root | UNKNOWN) user=collections ;; *) return ;; esac
  id "$user" >/dev/null 2>&1 ||
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$user" 2>/dev/null ||
    user=$(id -un 65534)
}

# Runs a command as the servers' user, without the lock, which a server would otherwise hold.
as_server() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups env HOME="$state" USER="$user" "$@" 9<&-
  else
    "$@" 9<&-
  fi
}

local_port() { cat "$project/.services/$1.port" 2>/dev/null || true; }

# Prints the processes of server $1, also those of a deleted checkout. Runs as their user: in a container root may not inspect
# other users' processes.
local_pids() {
  local process folder
  as_server find /proc/[0-9]*/cwd -maxdepth 0 -printf '%h %l\n' 2>/dev/null | while read -r process folder; do
    case $folder in "$state/$1" | "$state/$1"/* | "$state/$1 (deleted)") ;; *) continue ;; esac
    case $(as_server readlink "$process/exe") in */postgres* | */redis-* | */java*) echo "${process#/proc/}" ;; esac
  done
}

local_runs() { [ "$(local_pids "$1")" ] && answers "$1" "$(local_port "$1")"; }

# Waits up to $1 seconds for a command to succeed.
await() {
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do [ "$SECONDS" -lt "$deadline" ] || return 1; sleep 0.1; done
}

local_start() {
  local name
  local_prepare
  require_packages "$@"
  for name in "$@"; do
    if ! obtain "$name" || ! start_one "$name"; then unavailable "$name"; fi
  done
}

# Prints the folder of initdb and pg_ctl.
local_binaries() {
  local_prepare
  require_packages postgres
  obtain postgres || fail "cannot get the programs of Postgres; see above, or set POSTGRES_BIN"
  echo "$state/dist/postgres-$postgres_version/bin"
}

# Fetches the programs of server $1; fails if packages are missing.
obtain() { [ -z "$(lacking "$1")" ] && "${1}_fetch"; }

# Prints the Debian packages that server $1 lacks.
lacking() {
  case $1 in
    postgres) [ -d "$state/dist/postgres-$postgres_version" ] || { lacking_maven; has xz || echo xz-utils; } ;;
    redis) has redis-server || echo redis-server ;;
    elasticsearch)
      java_home >/dev/null || echo openjdk-17-jre-headless
      [ -d "$state/dist/elasticsearch-$elasticsearch_version" ] || lacking_maven ;;
  esac
}
lacking_maven() { has mvn || echo maven; has unzip || echo unzip; }
has() { command -v "$1" >/dev/null; }

# Prints the packages that these servers lack.
all_lacking() {
  local packages
  packages=$(for name in "$@"; do lacking "$name"; done | sort -u)
  # Debian 13 has another version of Java.
  apt-cache show openjdk-17-jre-headless >/dev/null 2>&1 || packages=${packages/openjdk-17/default}
  echo "$packages"
}

# As root, installs the packages that these servers lack; then says which are still missing.
require_packages() {
  if [ "$(all_lacking "$@")" ] && has apt-get && [ "$(id -u)" = 0 ]; then install_packages "$@"; fi
  local packages
  mapfile -t packages < <(all_lacking "$@")
  [ -z "${packages[*]}" ] || say "packages are missing; install them with: sudo apt-get install ${packages[*]}"
}

install_packages() {
  local packages policy=/usr/sbin/policy-rc.d
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update >install.log 2>&1 9<&- || true
  mapfile -t packages < <(all_lacking "$@")
  say "installing ${packages[*]}"
  # Installing redis-server would start the machine's own Redis; this policy prevents it.
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "${packages[@]}" >>install.log 2>&1 9<&- ||
    say "apt-get could not install them: $(grep -m1 '^E:' install.log || echo "see $state/install.log")"
  if [ "$(trap -p EXIT)" ]; then rm -f "$policy"; trap - EXIT; fi
}

start_one() {
  local name=$1 port
  if [ "$(local_pids "$name")" ]; then
    if [ -e "$name.port" ] && await 10 local_runs "$name"; then report "$name"; return; fi
    say "$name: does not answer, restarting"
    local_stop "$name"
  fi
  as_server mkdir -p -m 700 "$state/$name"
  as_server touch "$name/start.log"
  for _ in 1 2 3; do
    port=$(free_port "$name")
    echo "$port" | as_server tee "$name.port" >/dev/null
    say "$name: starting on port $port"
    if "${name}_launch" "$port" && await 10 local_runs "$name"; then report "$name"; return; fi
    local_stop "$name"
    taken "$port" || break # Otherwise another program took the port meanwhile; try the next one.
  done
  say "$name did not start; the end of its log:"
  tail -n 5 "$name"/*.log >&2 || true
  rm -f "$name.port"
  return 1
}

# Stops the processes of server $1, gracefully first.
local_stop() {
  local name=$1 pids main signal=TERM
  local_prepare
  mapfile -t pids < <(local_pids "$name")
  [ ${#pids[@]} != 0 ] || return 0
  say "$name: stopping"
  if [ "$name" = postgres ]; then
    # Only the postmaster handles a fast shutdown; without it the others are left from a kill -9.
    main=$(as_server head -n 1 postgres/data/postmaster.pid 2>/dev/null || true)
    if [[ " ${pids[*]} " == *" $main "* ]]; then pids=("$main") signal=INT; else signal=KILL; fi
  fi
  kill -$signal "${pids[@]}" 2>/dev/null || true
  await 30 is_gone "$name" && return
  mapfile -t pids < <(local_pids "$name")
  kill -KILL "${pids[@]}" 2>/dev/null || true
  await 10 is_gone "$name" || fail "$name does not stop: processes ${pids[*]}"
}
is_gone() { [ -z "$(local_pids "$1")" ]; }

local_reset() {
  local_stop "$1"
  rm -rf "$(readlink -m "$state/$1/data")" "${state:?}/$1" "$state/$1.port"
  say "$1: data deleted"
}

# Unpacks Maven artifact $2 to dist/$1, once; of the Postgres artifact only the .txz inside.
fetch() {
  [ ! -d "dist/$1" ] || return 0
  say "fetching $1 from Maven Central or its local cache"
  rm -rf fetch; mkdir -p dist fetch/packed fetch/unpacked
  if ! mvn -q -B dependency:copy "-Dartifact=$2" "-DoutputDirectory=$state/fetch/packed" >fetch.log 2>&1 9<&-; then
    say "Maven could not fetch $2: $(grep -m1 ERROR fetch.log || echo "see $state/fetch.log")"
    return 1
  fi
  say "unpacking $1"
  unzip -q fetch/packed/* -d fetch/unpacked || return 1
  if compgen -G 'fetch/unpacked/*.txz' >/dev/null; then
    mkdir fetch/unpacked/out && tar -xJf fetch/unpacked/*.txz -C fetch/unpacked/out --no-same-owner || return 1
    set -- "$1" fetch/unpacked/out
  else
    set -- "$1" fetch/unpacked/*/
  fi
  [ "$(id -u)" != 0 ] || chown -R "$user:" dist fetch
  mv "$2" "dist/$1" && rm -rf fetch
}

postgres_fetch() {
  local machine=amd64
  [ "$(uname -m)" != aarch64 ] || machine=arm64v8
  fetch "postgres-$postgres_version" "io.zonky.test.postgres:embedded-postgres-binaries-linux-$machine:$postgres_version"
}

postgres_launch() {
  local bin=$state/dist/postgres-$postgres_version/bin data=$state/postgres/data setting options=
  if [ ! -d "$data" ]; then
    rm -rf "$data.new"
    as_server "$bin/initdb" -D "$data.new" -U collections --auth=trust --encoding=UTF8 --locale=C.UTF-8 >postgres/start.log 2>&1 || return 1
    # The artifact has no psql; a single-user server runs the one statement.
    as_server "$bin/postgres" --single -D "$data.new" template1 <<<'create database collections' >>postgres/start.log 2>&1 || return 1
    as_server mv "$data.new" "$data"
  fi
  # One cluster for the test suite: each running test has a database and a replication slot.
  for setting in port="$1" listen_addresses=127.0.0.1 unix_socket_directories= wal_level=logical max_connections=300 \
    max_wal_senders=100 max_replication_slots=100 max_slot_wal_keep_size=8GB shared_buffers=256MB max_wal_size=2GB; do
    options+=" -c $setting"
  done
  rm -f "$data/postmaster.pid" # No process of this cluster runs, as checked before.
  as_server setsid "$bin/pg_ctl" start -s -w -t 60 -D "$data" -l postgres/server.log -o "$options" >postgres/start.log 2>&1 </dev/null
}

redis_fetch() { :; }

redis_launch() {
  as_server setsid redis-server --port "$1" --bind 127.0.0.1 --dir "$state/redis" --logfile "$state/redis/server.log" \
    --save '' --appendonly no --daemonize yes >redis/start.log 2>&1 </dev/null
}

elasticsearch_fetch() {
  fetch "elasticsearch-$elasticsearch_version" "org.elasticsearch.distribution.integ-test-zip:elasticsearch:$elasticsearch_version:zip"
}

# Prints the home of a Java of version 17 or later that the servers' user may run.
java_home() {
  local home version
  for home in "${ES_JAVA_HOME-}" "${JAVA_HOME-}" "$(readlink -f "$(command -v java)" | sed 's:/bin/java$::')" /usr/lib/jvm/*; do
    [ -x "${home:-/none}/bin/java" ] || continue
    version=$(as_server "$home/bin/java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
    if [ "${version:-0}" -ge 17 ]; then echo "$home"; return; fi
  done
  return 1
}

elasticsearch_launch() {
  local home=$state/dist/elasticsearch-$elasticsearch_version config=$state/elasticsearch/config data=$state/elasticsearch/data
  as_server mkdir -p "$config" elasticsearch/{logs,tmp}
  # In a chroot Java cannot see the mount of its data folder and fails; there it uses shared memory, since indices can be rebuilt
  # from Postgres.
  if [ -d "$data" ]; then :
  elif grep -q " $(stat -c %m .) " /proc/self/mounts; then as_server mkdir "$data"
  else as_server ln -sfn "$(as_server mktemp -d /dev/shm/collections.XXXXXX)" "$data"; fi
  as_server cp "$home/config/log4j2.properties" "$config/"
  grep -v -e -Xlog:gc "$home/config/jvm.options" | as_server tee "$config/jvm.options" >/dev/null # up to 2 GB of logs
  as_server tee "$config/elasticsearch.yml" >/dev/null <<YML
# Written by bin/services at each start.
discovery.type: single-node
xpack.security.enabled: false
network.host: 127.0.0.1
http.port: $1
transport.port: 0
path.data: $data
path.logs: $state/elasticsearch/logs
action.auto_create_index: false
cluster.routing.allocation.disk.threshold_enabled: false
# Every test makes its own indices.
cluster.max_shards_per_node: 10000
YML
  as_server env ES_JAVA_HOME="$(java_home)" ES_PATH_CONF="$config" ES_TMPDIR="$state/elasticsearch/tmp" \
    ES_JAVA_OPTS="${ES_JAVA_OPTS:--Xms512m -Xmx512m}" \
    setsid timeout 180 "$home/bin/elasticsearch" -d -p "$state/elasticsearch/pid" >elasticsearch/start.log 2>&1 </dev/null
}
