#!/bin/sh
# Installs what the other make targets need and this machine lacks: the npm
# packages of the lock file, and Debian's packages that the tests, the demo and the
# bench execute. More Debian packages may be given as arguments. Says what it installs;
# does nothing, silently, when nothing is missing.
set -eu
cd "$(dirname "$0")/.."

# The reference plugins; ip; certificates of the test API server; ping through a
# delegate's network; what the bridge plugin's masquerade and portmap call; what
# the bench counts with and compares with.
debian_packages="containernetworking-plugins iproute2 openssl iputils-ping iptables procps strace curl"
command -v npm >/dev/null || debian_packages="npm ca-certificates $debian_packages"
debian_packages="$debian_packages $*"

# The lock file's digest, as of the last complete installation.
stamp=node_modules/.genie-deps

npm_packages() {
  # Read from standard input, so that the file's own name does not matter.
  digest=$(sha256sum <package-lock.json)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ]; then return; fi
  command -v npm >/dev/null || fail "npm is missing: see https://docs.npmjs.com"
  echo "deps: installing the npm packages of package-lock.json"
  rm -f "$stamp"
  # npm 11 refuses a lock file without the optional packages of foreign platforms,
  # older ones do not; "install --no-save" takes the same versions from it, checks
  # the same digests and writes nothing back either.
  options="--no-audit --no-fund --loglevel=error"
  log=$(mktemp)
  # shellcheck disable=SC2086 # options are words
  if ! npm ci $options >"$log" 2>&1 && ! npm install --no-save $options; then
    cat "$log" >&2
    rm -f "$log"
    fail "npm could not install the packages"
  fi
  rm -f "$log"
  node_modules/.bin/bun --version >/dev/null || \
    fail "the installed bun does not run here (npm must not ignore install scripts)"
  printf '%s\n' "$digest" >"$stamp"
}

debian() {
  if ! command -v dpkg-query >/dev/null; then
    echo "deps: not a Debian system; make sure that it has: $debian_packages" >&2
    return
  fi
  missing=
  for package in $debian_packages; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "not root and no sudo: apt-get install$missing"
    as_root="sudo"
  fi
  echo "deps: installing the Debian packages$missing"
  # shellcheck disable=SC2086 # one word for each package; no sudo is no word
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null
}

fail() {
  echo "deps: $1" >&2
  exit 1
}

debian
npm_packages
