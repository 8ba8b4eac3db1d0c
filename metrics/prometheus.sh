#!/usr/bin/env bash
# Usage: prometheus.sh DIRECTORY
#
# Puts Prometheus, as Debian has it, into DIRECTORY without installing it: no
# service is started and nobody has to be root, but for the lists of packages if
# they are not there.
set -euo pipefail
if [[ -x "$1/usr/bin/prometheus" && -x "$1/usr/bin/promtool" ]]; then
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "prometheus.sh: there is no apt-get here: put prometheus and promtool into $1/usr/bin" >&2
	exit 1
fi
update() {
	local sudo=()
	((EUID == 0)) || sudo=(sudo)
	"${sudo[@]}" apt-get update -qq -o Acquire::Retries=3
}
if ! apt-cache show prometheus >/dev/null 2>&1; then
	update
fi
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
download() { (cd "$fetched" && apt-get download -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 prometheus); }
# The lists may be of a version that Debian does not have any more.
download || { update && download; }
mkdir -p "$1"
dpkg -x "$fetched"/prometheus_*.deb "$1"
"$1/usr/bin/prometheus" --version 2>&1 | head -n 1
