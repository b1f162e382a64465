#!/bin/sh
# A bare machine: Debian with git and make only, made by debootstrap in a directory. A
# clone of this tree's HEAD is made there, and its make targets install all else
# themselves. `bare.sh [TARGET…]`, by default demo and test. It needs root, debootstrap
# and Debian's and npm's registries; BARE=DIRECTORY keeps the machine for another run.
set -eu
tree=$(cd "$(dirname "$0")/.." && pwd)
[ $# -gt 0 ] || set -- demo test

machine=${BARE:-}
if [ -z "$machine" ]; then
  machine=$(mktemp -d)
  trap 'rm -rf "$machine"' EXIT
  # A signal ends the shell without EXIT's trap otherwise.
  trap 'exit 130' INT
  trap 'exit 143' TERM
fi
mkdir -p "$machine"
chmod 755 "$machine"

if [ ! -x "$machine/usr/bin/make" ]; then
  command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap
  debootstrap --variant=minbase --include=git,make bookworm "$machine" \
    "${MIRROR:-http://deb.debian.org/debian}"
  # What a company gives its machines: the name server and its authorities.
  cp /etc/resolv.conf "$machine/etc/resolv.conf"
  mkdir -p "$machine/usr/local/share/ca-certificates"
  for authority in /usr/local/share/ca-certificates/*.crt; do
    [ ! -f "$authority" ] || cp "$authority" "$machine/usr/local/share/ca-certificates/"
  done
fi

rm -rf "$machine/root/genie"
git clone -q "$tree" "$machine/root/genie"

# Mounts and processes end with the command. No chroot: a test that enters the mount
# namespace of process 1 would leave it.
unshare --mount --pid --fork --kill-child --propagation private sh -eu -c '
  machine=$1
  shift
  # A root of its own, which unshare can make private.
  mount --bind "$machine" "$machine"
  mount -t proc proc "$machine/proc"
  mount --rbind /sys "$machine/sys"
  mount --rbind /dev "$machine/dev"
  mount -t tmpfs tmpfs "$machine/run"
  mkdir "$machine/run/old"
  cd "$machine"
  pivot_root . run/old
  cd /root/genie
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  umount --lazy /run/old
  rmdir /run/old
  for target; do
    echo "==> make $target"
    env -i HOME=/root LANG=C.UTF-8 PATH="$PATH" \
      NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
      ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
      make "$target"
  done
' sh "$machine" "$@"
