#!/bin/bash
# The test bed of the GFS paper (section 6.1) on one machine: network namespaces as hosts, two bridges as switches.
#   19 server hosts on one switch (master m, log replicas r1 r2, chunkservers s1..s16), 16 client hosts (c1..c16) on the
#   other, 100 Mbit/s per host in each direction, 1 Gbit/s between the switches.
#
#   netlab.sh [-p PREFIX] up [SERVERS] [CLIENTS] [HOST_RATE] [TRUNK_RATE]     default: 16 16 100mbit 1gbit
#   netlab.sh [-p PREFIX] run HOST COMMAND...   run a command on a host (network only: files and mounts stay shared)
#   netlab.sh [-p PREFIX] ip HOST               print its address (10.88.0.0/16)
#   netlab.sh [-p PREFIX] rate HOST RATE        change one host's rate (a slow NIC)
#   netlab.sh [-p PREFIX] cut HOST | heal HOST  take its link down, or up again
#   netlab.sh [-p PREFIX] down                  remove everything that `up` made
#   netlab.sh [-p PREFIX] with SERVERS CLIENTS HOST_RATE TRUNK_RATE COMMAND...   up, the command, and down however it ends
#
# Two test beds at a time need two prefixes (at most 8 letters). Uses no address outside its own namespaces.
# Without root or iproute2 it says so, prints SKIPPED and exits with 77.
set -eu
P=cairnlab
if [ "${1:-}" = -p ]; then P=$2; shift 2; fi
[[ $P =~ ^[a-z0-9]{1,8}$ ]] || { echo "netlab: a prefix is 1 to 8 letters or digits, not '$P'" >&2; exit 2; }

usable() {
  if [ "$(id -u)" != 0 ]; then echo "netlab: network namespaces need root"; echo SKIPPED; exit 77; fi
  if ! command -v ip >/dev/null || ! command -v tc >/dev/null; then
    echo "netlab: ip or tc is missing (Debian: apt install iproute2)"; echo SKIPPED; exit 77
  fi
  if ! ip netns add "$P-try" 2>/dev/null; then
    echo "netlab: this machine lets nobody make network namespaces"; echo SKIPPED; exit 77
  fi
  ip netns del "$P-try"
}
hosts() { ip netns list | awk '{print $1}' | grep "^$P-" | grep -v -- '-sw$' || true; }
addr() {
  case $1 in
    m) echo 10.88.0.1 ;; r*) echo "10.88.0.$((1 + ${1#r}))" ;; s*) echo "10.88.1.${1#s}" ;; c*) echo "10.88.2.${1#c}" ;;
    *) echo "netlab: unknown host $1" >&2; exit 2 ;;
  esac
}
shape() { tc -n "$1" qdisc replace dev "$2" root tbf rate "$3" burst 64kb latency 200ms; }
add() { # host, its bridge, rate
  local ns=$P-$1
  ip netns add "$ns"; ip -n "$ns" link set lo up
  ip -n "$P-sw" link add "v-$1" type veth peer name eth0 netns "$ns"
  ip -n "$P-sw" link set "v-$1" master "$2" up
  ip -n "$ns" addr add "$(addr "$1")/16" dev eth0; ip -n "$ns" link set eth0 up
  shape "$ns" eth0 "$3"; shape "$P-sw" "v-$1" "$3"
}
up() {
  local servers=${1:-16} clients=${2:-16} rate=${3:-100mbit} trunk=${4:-1gbit} i b
  ip netns add "$P-sw"
  for b in sw-s sw-c; do ip -n "$P-sw" link add $b type bridge; ip -n "$P-sw" link set $b up; done
  ip -n "$P-sw" link add t-s type veth peer name t-c
  ip -n "$P-sw" link set t-s master sw-s up; ip -n "$P-sw" link set t-c master sw-c up
  shape "$P-sw" t-s "$trunk"; shape "$P-sw" t-c "$trunk"
  for i in m r1 r2; do add $i sw-s "$rate"; done
  for i in $(seq "$servers"); do add "s$i" sw-s "$rate"; done
  for i in $(seq "$clients"); do add "c$i" sw-c "$rate"; done
}
down() { local n; for n in $(hosts) "$P-sw"; do ip netns del "$n" 2>/dev/null || true; done; }

case ${1:-} in
  up) usable; shift; up "$@" ;;
  run) h=$2; shift 2; exec nsenter --net="/var/run/netns/$P-$h" "$@" ;;
  ip) addr "$2" ;;
  rate) shape "$P-$2" eth0 "$3"; shape "$P-sw" "v-$2" "$3" ;;
  cut) ip -n "$P-sw" link set "v-$2" down ;;
  heal) ip -n "$P-sw" link set "v-$2" up ;;
  down) down ;;
  with)
    usable; trap down EXIT; trap 'exit 130' INT; trap 'exit 143' TERM
    up "$2" "$3" "$4" "$5"; shift 5; "$@" ;;
  *) sed -n '2,16p' "$0"; exit 2 ;;
esac
