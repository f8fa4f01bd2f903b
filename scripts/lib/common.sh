# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Shared by the setup scripts: messages, timed steps, and the directories.
# Sourced; expects the caller to have run `set -euo pipefail`.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$REPO/build}
LOG=${LOG:-$BUILD/log}
export REPO BUILD LOG

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# step NAME COMMAND...: run the command with its output in $LOG/NAME.log, and
# say in one line what was done and how long it took. NAME may hold blanks.
# The command runs in a subshell of its own so that `set -e` works inside it
# (it would not in the condition of an `if`).
step() {
	local name=$1 log start rc=0
	shift
	log=$LOG/${name//[ \/]/-}.log
	mkdir -p "$LOG"
	start=$SECONDS
	[[ ! -t 1 ]] || printf '[ ...] %s\r' "$name"
	set +e
	(set -e; "$@") >"$log" 2>&1 </dev/null
	rc=$?
	set -e
	if ((rc)); then
		printf '[FAIL] %s\n' "$name"
		# What die() said inside the step is the whole story.
		if [[ $(tail -n 1 "$log") == "${0##*/}: "* ]]; then
			tail -n 1 "$log" >&2
			exit 1
		fi
		tail -n 15 "$log" | sed 's/^/    /' >&2
		die "\"$name\" failed, all of its output is in $log; run the same command again to resume here"
	fi
	printf '[%3ds] %s\n' $((SECONDS - start)) "$name"
}
