# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The Go compiler for the lab's builds: $GO_WANTED or later. A Go of 1.21 or later gets it by
# itself. An older one, as of Debian 12, downloads the same module, but knows nothing of toolchains:
# its files are put to use here. To be sourced by tests/cluster/modules.sh.

# version_at_least HAVE WANTED
version_at_least() {
	[ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

go_version() {
	go env GOVERSION 2>/dev/null | sed 's/^go//; s/[ -].*//'
}

# Modules hold no file modes.
fetch_go() {
	local to=$CACHE/go-$GO_WANTED dir module
	[ ! -x "$to/bin/go" ] || return 0
	module=golang.org/toolchain@v0.0.1-go$GO_WANTED.$(go env GOOS)-$(go env GOARCH)
	say "getting Go $GO_WANTED"
	mkdir -p "$WORK/go"
	printf 'module lab\n' >"$WORK/go/go.mod"
	dir=$(cd "$WORK/go" && GOFLAGS=-mod=mod go mod download -json "$module" | jq -r .Dir)
	[ -d "$dir" ] || die "cannot get Go $GO_WANTED: $module"
	rm -rf "$to" "$to.part"
	cp -r --no-preserve=mode "$dir" "$to.part"
	chmod -R u+w "$to.part"
	chmod +x "$to.part"/bin/* "$to.part"/pkg/tool/*/*
	mv "$to.part" "$to"
}

choose_go() {
	local have
	command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin:/usr/lib/go/bin
	have=$(go_version)
	[ -n "$have" ] || die "needs Go: tools/deps cluster"
	version_at_least "$have" "$GO_WANTED" && return
	if version_at_least "$have" 1.21; then
		export GOTOOLCHAIN=go$GO_WANTED
	else
		fetch_go
		export PATH=$CACHE/go-$GO_WANTED/bin:$PATH GOTOOLCHAIN=local
		unset GOROOT
	fi
	version_at_least "$(go_version)" "$GO_WANTED" ||
		die "needs Go $GO_WANTED or later; this is $have, and it cannot get another itself"
}
