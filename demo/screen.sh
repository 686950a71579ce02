# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the demo shows while it runs: on a terminal, lines refreshed in place; elsewhere, a line a
# second. To be sourced. Of the caller it uses $LAB_TMP, die_of_traffic(), and $RECEIVER and
# $RESTING, processes in store and in web.

SCREEN_TTY=0 SCREEN_COLOUR=0 SCREEN_UTF8=0 SCREEN_COLUMNS=80 SCREEN_PHASE=0
SCREEN_FULL=0		# bits/s that a whole bar stands for
[ "$(locale charmap 2>/dev/null)" != UTF-8 ] || SCREEN_UTF8=1
export LC_ALL=C		# decimal points everywhere
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
	SCREEN_TTY=1
	[ -n "${NO_COLOR:-}" ] || SCREEN_COLOUR=1
fi

# screen_paint CODE TEXT
screen_paint() {
	if [ "$SCREEN_COLOUR" = 1 ]; then
		printf '\033[%sm%s\033[m\n' "$1" "$2"
	else
		printf '%s\n' "$2"
	fi
}

screen_say() { printf '%s\n' "$@"; }

# screen_pods CGROUP LIMIT: what there is; whole bars shall stand for a quarter more than LIMIT.
screen_pods() {
	SCREEN_FULL=$(($(numfmt --from=si "$2") * 5 / 4))
	screen_say "" \
		"    batch   sends all it can,       --." \
		"            and small requests         +-- bridge --> store" \
		"    web     small requests alone    --'" \
		"" \
		"Cgroups, below $LAB_CGROUP2: D=$1"
	[ "$SCREEN_TTY" = 0 ] || screen_say "Bars: rates up to $(numfmt --to=si \
		--format=%.0f "$SCREEN_FULL"), round-trip times up to 30 ms"
}

screen_phase() {
	SCREEN_PHASE=$((SCREEN_PHASE + 1))
	screen_say ""
	screen_paint 1 "$SCREEN_PHASE. $1: $2"
}

screen_command() { screen_paint 36 "  \$ $1"; }
screen_took() { screen_say "    done after $1 ms"; }

# Any time, and more than once.
screen_end() {
	[ "$SCREEN_TTY" = 0 ] || printf '\033[?25h'
}

# The picture of one moment; its first line is the count of bytes so far, for the next one.
screen_picture() {
	awk -f "$DEMO/screen.awk" -v tty="$SCREEN_TTY" -v colour="$SCREEN_COLOUR" \
		-v utf8="$SCREEN_UTF8" -v columns="$SCREEN_COLUMNS" \
		-v full="$SCREEN_FULL" "$@" \
		"/proc/$RECEIVER/net/snmp" "/proc/$RECEIVER/net/netstat" \
		"/proc/$RESTING/net/netstat" \
		"$LAB_TMP/batch.live" "$LAB_TMP/web.live" 2>>"$LAB_TMP/errors"
}

screen_blind() { die_of_traffic "cannot see what goes on"; }

# screen_watch LIMITER BPS BEGIN END: until END; times in us, BPS 0 without a limit.
screen_watch() {
	local step=500000 now was text bytes next up=''
	if [ "$SCREEN_TTY" = 1 ]; then
		SCREEN_COLUMNS=$(stty size <&1 2>/dev/null | cut -d ' ' -f 2) || true
		[ "${SCREEN_COLUMNS:-0}" -ge 60 ] || SCREEN_COLUMNS=80
		printf '\033[?25l'
	else
		step=1000000
	fi
	was=${EPOCHREALTIME/./}
	bytes=$(screen_picture -v only=count) || screen_blind
	for ((next = $3 + step; next <= $4; next += step)); do
		now=${EPOCHREALTIME/./}
		[ "$now" -ge "$next" ] || sleep "$(((next - now) / 1000000)).$(printf %06d \
			$(((next - now) % 1000000)))"
		now=${EPOCHREALTIME/./}
		text=$(screen_picture -v limiter="$1" -v limit="$2" -v bytes="$bytes" \
			-v us=$((now - was)) -v at=$((now - $3))) || screen_blind
		was=$now
		bytes=${text%%$'\n'*}
		printf '%s%s\n' "$up" "${text#*$'\n'}"
		[ "$SCREEN_TTY" = 0 ] || up=$'\033[3A'
	done
	screen_end
}
