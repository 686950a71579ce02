# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How programs of the Kubernetes lab are built from Go modules. To be sourced by a script that holds
# versions, has a function build_NAME for each of $COMPONENTS, and ends with build_main "$@":
#
#   SCRIPT          builds what is missing; says and does nothing if all is there
#   SCRIPT --where  prints the folder the programs are in (or will be)
#
# They lie outside the tree, in $PODPACE_CACHE (default ~/.cache/podpace)/$GROUP-HASH/bin, where
# HASH is of the script. A component is recorded when it is complete: a build that was stopped goes
# on where it was. Of two builds at once, one waits.
#
# The script also sets $PACKAGES (a table of tools/deps), $NEEDS_MB of disk, and $ABOUT, a line that
# says what is built and how long that takes.

HERE=$(cd "$(dirname "$0")" && pwd)
HASH=$({ uname -m && cat "$0"; } | sha256sum | cut -c 1-12)
CACHE=${PODPACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/podpace}/$GROUP-$HASH
BIN=$CACHE/bin WORK=$CACHE/work LOG=$CACHE/log

# shellcheck source=golang.sh
. "$HERE/golang.sh"

say() {
	echo "$GROUP build: $*"
}

die() {
	say "$*" >&2
	exit 1
}

# module NAME VERSION: prints its folder, which cannot be written to
module() {
	(cd "$WORK" && go mod download -json "$1@$2" | jq -r .Dir)
}

# unpack NAME MODULE VERSION: the module's files, to change and build in, at $WORK/NAME, which
# becomes the working directory. Replacements by folders hold in its own repository only.
unpack() {
	local dir
	dir=$(module "$2" "$3")
	[ -d "$dir" ] || die "cannot get $2 $3"
	rm -rf "${WORK:?}/$1"
	cp -r --no-preserve=mode "$dir" "$WORK/$1"
	cd "$WORK/$1" || die "no $WORK/$1"
	go mod edit -json |
		jq -r '.Replace // [] | .[] | select(.New.Version == null) | .Old.Path' |
		while read -r path; do
			go mod edit -dropreplace "$path"
		done
}

# compile [OPTION of go build]... PACKAGE...
compile() {
	go build -o "$BIN/" "$@"
}

build_component() {
	local name=$1 begin=$SECONDS
	[ ! -e "$CACHE/$name.done" ] || return 0
	# set -e does nothing in a subshell whose status is asked for at once
	("build_$name") >"$LOG/$name.log" 2>&1 9>&- &
	if ! wait "$!"; then
		tail -n 20 "$LOG/$name.log" >&2
		die "$name failed; all of its output is in $LOG/$name.log"
	fi
	touch "$CACHE/$name.done"
	rm -rf "${WORK:?}/$name" "$WORK/cgroups-$name"
	say "$name, $((SECONDS - begin)) s"
}

build_all() {
	local name free
	free=$(df -Pm "$CACHE" | awk 'NR == 2 { print $4 }')
	[ "$free" -gt "$NEEDS_MB" ] || die "$CACHE: $free MB free, may need $NEEDS_MB"
	"$HERE/../../tools/deps" "$PACKAGES"
	choose_go
	export GOFLAGS='-trimpath -mod=mod -buildvcs=false' GOWORK=off
	say "$ABOUT, into $CACHE"
	for name in $COMPONENTS; do
		build_component "$name"
	done
	rm -rf "$WORK"
}

build_main() {
	case ${1:-} in
	'') ;;
	--where)
		echo "$BIN"
		exit 0
		;;
	*)
		echo "usage: ${0##*/} [--where]" >&2
		exit 2
		;;
	esac
	[ ! -e "$CACHE/complete" ] || exit 0
	mkdir -p "$BIN" "$WORK" "$LOG"
	exec 9>"$CACHE/lock"
	if ! flock -n 9; then
		say "another build is at work; waiting for it"
		flock 9
	fi
	[ ! -e "$CACHE/complete" ] || exit 0
	build_all
	touch "$CACHE/complete"
}
