#!/bin/sh
# Installs the Edgeloop agent on this box, or takes it away again. The hub's page "Add device" gives the whole
# command; it needs sh, curl, tar, gzip and sha256sum. What it does:
#   1. fetches the agent for this platform from the hub, whose key was given (--pin), and checks its digest
#   2. unpacks it beside the version that is there and enrols the box with EDGELOOP_ENROLMENT_TOKEN
#   3. installs a service: systemd's where there is one, of the user where it is not run by root
# Run again it installs the newer version; the identity and what is not sent yet stay.
set -eu
umask 077

usage() {
  cat <<'TEXT'
usage: install.sh --hub URL --pin SHA256 --ca SHA256 [--prefix DIR] [--no-service | --foreground]
       install.sh --uninstall [--prefix DIR] [--keep-data]

  --hub URL       where the hub takes devices
  --pin SHA256    digest of the hub's public key, base64: no other hub is spoken to
  --ca SHA256     digest of the public key of the hub's authority, base64
  --prefix DIR    where everything goes (default: /opt/edgeloop for root, else ~/.local/share/edgeloop)
  --no-service    install and enrol, start nothing
  --foreground    install, enrol, and become the agent
  --uninstall     stop the agent and remove everything this script has put on the box
  --keep-data     with --uninstall: leave identity, settings and unsent events

The enrolment token is taken from EDGELOOP_ENROLMENT_TOKEN, so that no other user of the box can see it.
TEXT
}

say() { printf '%s\n' "edgeloop: $*" >&2; }
fail() {
  printf '%s\n' "edgeloop: error: $1" >&2
  if [ $# -gt 1 ]; then printf '%s\n' "edgeloop: hint: $2" >&2; fi
  exit 1
}

hub='' pin='' ca='' prefix='' mode=service keep_data=no
while [ $# -gt 0 ]; do
  case $1 in
  --hub | --pin | --ca | --prefix)
    if [ $# -lt 2 ]; then usage >&2; exit 2; fi
    case $1 in
    --hub) hub=$2 ;;
    --pin) pin=$2 ;;
    --ca) ca=$2 ;;
    --prefix) prefix=$2 ;;
    esac
    shift
    ;;
  --no-service) mode=none ;;
  --foreground) mode=foreground ;;
  --uninstall) mode=uninstall ;;
  --keep-data) keep_data=yes ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    usage >&2
    fail "unknown option \"$1\""
    ;;
  esac
  shift
done

is_root() { [ "$(id -u)" = 0 ]; }
if [ -z "$prefix" ]; then
  if is_root; then prefix=/opt/edgeloop; else prefix=${HOME:?}/.local/share/edgeloop; fi
fi
case $prefix in
/?*) ;;
*) fail "--prefix \"$prefix\" must be an absolute path" ;;
esac

data=$prefix/data
service=edgeloop-agent.service
user=edgeloop
if is_root; then units=/etc/systemd/system; else units=${XDG_CONFIG_HOME:-${HOME:?}/.config}/systemd/user; fi
control() { if is_root; then systemctl "$@"; else systemctl --user "$@"; fi; }
# systemd runs, and answers whoever asks.
has_systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1 && control show-environment >/dev/null 2>&1; }

# The agent that was started without a service manager; its number may have become somebody else's.
stop_detached() {
  [ -f "$prefix/agent.pid" ] || return 0
  pid=$(cat "$prefix/agent.pid")
  if [ "$(readlink "/proc/$pid/exe" 2>/dev/null || true)" != "" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$prefix/"; then
    kill "$pid" 2>/dev/null || true
    waited=0
    while kill -0 "$pid" 2>/dev/null && [ "$waited" -lt 10 ]; do
      sleep 1
      waited=$((waited + 1))
    done
    kill -9 "$pid" 2>/dev/null || true
  fi
  rm -f "$prefix/agent.pid"
}

uninstall() {
  if [ ! -f "$prefix/.edgeloop" ]; then fail "nothing of Edgeloop is installed in \"$prefix\"" "name the folder with --prefix"; fi
  if [ -f "$units/$service" ] && grep -qF "$prefix/" "$units/$service"; then
    if has_systemd; then control disable --now "$service" >/dev/null 2>&1 || true; fi
    rm -f "$units/$service"
    if has_systemd; then control daemon-reload || true; fi
  fi
  stop_detached
  made=$(cat "$prefix/.edgeloop")
  if [ -f "$prefix/.user" ] && [ "$keep_data" = no ]; then userdel "$user" >/dev/null 2>&1 || true; fi
  if [ "$keep_data" = yes ]; then
    find "$prefix" -mindepth 1 -maxdepth 1 ! -name data ! -name .edgeloop ! -name .user -exec rm -rf {} +
    say "removed; identity and data stay in $data"
    return
  fi
  rm -rf "$prefix"
  # Folders made on the way, deepest first; what others have put there stays.
  printf '%s\n' "$made" | while IFS= read -r folder; do
    if [ -n "$folder" ]; then rmdir "$folder" 2>/dev/null || true; fi
  done
  say "removed from $prefix"
}

if [ "$mode" = uninstall ]; then
  uninstall
  exit 0
fi

if [ -z "$hub" ] || [ -z "$pin" ] || [ -z "$ca" ]; then
  usage >&2
  fail "--hub, --pin and --ca are needed" "copy the whole command from the hub's page \"Add device\""
fi
for tool in curl tar gzip sha256sum readlink; do
  command -v "$tool" >/dev/null 2>&1 || fail "this box has no \"$tool\"" "install it with the box's package manager"
done
case $(uname -s)-$(uname -m) in
Linux-x86_64) platform=linux-x64 ;;
Linux-aarch64 | Linux-arm64) platform=linux-arm64 ;;
*) fail "no agent is made for $(uname -s) on $(uname -m)" "the agent runs on 64-bit Linux: x86_64 and aarch64" ;;
esac
if ls /lib/ld-musl-* >/dev/null 2>&1 && ! ls /lib*/ld-linux-* /lib/*/ld-linux-* /lib/*/libc.so.6 >/dev/null 2>&1; then
  fail "this box runs on musl, and ONNX Runtime needs glibc" "use a distribution with glibc, such as Debian"
fi

# Folders that are not there yet, deepest first, so that --uninstall can take them away again.
missing_folders() {
  folder=$1
  while [ ! -d "$folder" ]; do
    printf '%s\n' "$folder"
    folder=$(dirname "$folder")
  done
}
if [ -e "$prefix" ] && [ ! -f "$prefix/.edgeloop" ] && [ -n "$(ls -A "$prefix" 2>/dev/null)" ]; then
  fail "\"$prefix\" is in use by something else" "choose another folder with --prefix"
fi
if [ ! -f "$prefix/.edgeloop" ]; then
  made=$(missing_folders "$(dirname "$prefix")")
  if [ ! -f "$units/$service" ] && has_systemd; then made=$(printf '%s\n%s' "$made" "$(missing_folders "$units")"); fi
  mkdir -p "$prefix"
  printf '%s\n' "$made" >"$prefix/.edgeloop"
fi
mkdir -p "$prefix/versions" "$data"
scratch=$(mktemp -d "$prefix/.install.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP

# The token reaches curl by a file: an address is logged, an argument is seen by every user of the box.
printf 'Authorization: Bearer %s\n' "${EDGELOOP_ENROLMENT_TOKEN:-}" >"$scratch/header"
# --insecure drops the check against the box's own list of authorities, never that of the pinned key.
from_hub() { curl -fsS --insecure --pinnedpubkey "sha256//$pin" --tlsv1.3 --retry 3 --connect-timeout 20 -H "@$scratch/header" "$@"; }

if [ -n "${EDGELOOP_ENROLMENT_TOKEN:-}" ]; then
  digest=$(from_hub "$hub/bundles/$platform/digest") ||
    fail "the hub at $hub gave no agent for $platform" "is the token still good? Make a new one with \"Add device\""
  case $digest in
  *[!0-9a-f]* | '') fail "the hub answered \"$digest\" instead of a digest" ;;
  esac
  version=$prefix/versions/$(printf '%s' "$digest" | cut -c1-16)
  if [ ! -d "$version" ]; then
    say "fetching the agent for $platform from $hub"
    from_hub -o "$scratch/bundle.tar.gz" "$hub/bundles/$platform" || fail "the agent could not be fetched from $hub"
    printf '%s  %s\n' "$digest" "$scratch/bundle.tar.gz" | sha256sum -c - >/dev/null 2>&1 ||
      fail "what came from $hub is not what it said it would send" "try again; if it stays so, something between here and the hub is broken"
    mkdir "$scratch/version"
    gzip -dc "$scratch/bundle.tar.gz" | tar -xf - -C "$scratch/version" || fail "the agent could not be unpacked: is the disk full?"
    mv "$scratch/version" "$version"
  fi
else
  version=$(readlink "$prefix/current" 2>/dev/null || true)
  [ -n "$version" ] || fail "EDGELOOP_ENROLMENT_TOKEN is not set" "copy the whole command from the hub's page \"Add device\""
fi

"$version/bin/edgeloop-agent" enrol --data "$data" --hub "$hub" --ca-fingerprint "$ca" >&2 || exit 1

# One rename: at every moment "current" is the old version or the new one.
ln -s "$version" "$scratch/current"
mv -T "$scratch/current" "$prefix/current" 2>/dev/null || ln -sfn "$version" "$prefix/current"
before=$(ls -1t "$prefix/versions" | sed -n '3,$p')
for old in $before; do
  if [ "$prefix/versions/$old" != "$version" ]; then rm -rf "$prefix/versions/${old:?}"; fi
done
agent=$prefix/current/bin/edgeloop-agent

command -v ffmpeg >/dev/null 2>&1 ||
  say "cameras need the program ffmpeg, which is not here yet: apt install ffmpeg, dnf install ffmpeg, or apk add ffmpeg"

# A user of its own, so that a fault in a decoder is not a fault of root's.
make_user() {
  if ! id "$user" >/dev/null 2>&1; then
    command -v useradd >/dev/null 2>&1 || return 1
    useradd --system --no-create-home --home-dir "$data" --shell /usr/sbin/nologin "$user" || return 1
    : >"$prefix/.user"
  fi
  # USB cameras and graphics cards belong to these groups, where the box has them.
  for group in video render; do
    if getent group "$group" >/dev/null 2>&1; then usermod --append --groups "$group" "$user" || true; fi
  done
  chmod 755 "$prefix" "$prefix/versions"
  chmod -R a+rX "$version"
  chown -R "$user" "$data"
}

write_unit() {
  mkdir -p "$units"
  wanted_by=default.target
  runs_as=''
  if is_root; then
    wanted_by=multi-user.target
    if make_user; then runs_as="User=$user"; else say "no user \"$user\" could be made: the agent runs as root"; fi
  fi
  cat >"$scratch/unit" <<UNIT
[Unit]
Description=Edgeloop agent
Documentation=file:$prefix/current/LICENSE
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=$agent agent --data $data
Restart=always
RestartSec=5
# Twice what the agent takes to stop its cameras.
TimeoutStopSec=15
KillMode=mixed
$runs_as
UMask=0077
NoNewPrivileges=yes
ProtectSystem=full
PrivateTmp=yes

[Install]
WantedBy=$wanted_by
UNIT
  chmod 644 "$scratch/unit"
  mv "$scratch/unit" "$units/$service"
}

start_detached() {
  stop_detached
  command -v setsid >/dev/null 2>&1 && detach=setsid || detach=''
  # shellcheck disable=SC2086 # empty where there is no setsid
  nohup $detach "$agent" agent --data "$data" >>"$prefix/agent.log" 2>&1 </dev/null &
  echo $! >"$prefix/agent.pid"
}

case $mode in
none) say "installed in $prefix; start it with: $agent agent --data $data" ;;
foreground)
  rm -rf "$scratch"
  trap - EXIT
  exec "$agent" agent --data "$data"
  ;;
service)
  if has_systemd; then
    stop_detached
    write_unit
    control daemon-reload
    control enable "$service" >/dev/null 2>&1
    control restart "$service"
    say "installed in $prefix and started; see: systemctl $(is_root || printf -- '--user ')status $service"
    if ! is_root && command -v loginctl >/dev/null 2>&1; then
      loginctl enable-linger "$(id -un)" >/dev/null 2>&1 ||
        say "it stops when you sign out; once, as root: loginctl enable-linger $(id -un)"
    fi
  else
    start_detached
    say "installed in $prefix and started; its log is $prefix/agent.log"
    say "this box has no systemd: after a reboot start it with: $agent agent --data $data"
  fi
  ;;
esac
say "to take it away: $prefix/current/bin/install.sh --uninstall"
