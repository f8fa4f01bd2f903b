# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# For scripts/setup: picks a Debian kernel, gets its packages, makes a KDIR.
# Sourced; needs lib/common.sh.

in_root() {
	"$REPO/scripts/in-root" "$@"
}

# The newest release of series $1, flavour $2, that can be built for.
newest_release() {
	in_root apt-cache pkgnames "linux-headers-$1." |
		sed -n "s/^linux-headers-\($1\.[0-9.]*+[^-]*-$2\)\$/\1/p" | sort -V | tail -n 1
}

package_exists() {
	in_root apt-cache show --no-all-versions "$1" >/dev/null 2>&1
}

# Everything from the mirror in one step, so that what is picked here is
# complete even if the mirror moves on before the next step.
get_kernel() {
	local series=$1 flavour=$2 dir=$3 release version binary
	in_root apt-get -q -o Acquire::Retries=3 update
	release=$(newest_release "$series" "$flavour")
	[[ $release ]] || die "no linux-headers-$series.*-$flavour on $MIRROR"
	version=$(in_root apt-cache show --no-all-versions "linux-headers-$release" | sed -n 's/^Version: //p')
	# A kernel that Debian has not signed yet has only the second.
	binary=linux-binary-$release
	package_exists "$binary" || binary=linux-binary-unsigned-$release

	in_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -qy -o Acquire::Retries=3 --no-install-recommends install \
		"linux-headers-$release=$version" "linux-base-$release=$version" \
		"linux-source-$series=$version"
	mkdir -p "$dir"
	# VMs boot only that flavour.
	if [[ $flavour == cloud-amd64 ]]; then
		rm -rf "$dir/deb.tmp" "$dir/deb"
		mkdir "$dir/deb.tmp"
		(cd "$dir/deb.tmp" &&
			in_root apt-get -q -o Acquire::Retries=3 -o APT::Sandbox::User=root download \
				"$binary=$version" "linux-modules-$release=$version")
		mv "$dir/deb.tmp" "$dir/deb"
	fi
	in_root apt-get clean
	echo "$release" >"$dir/release.tmp"
	mv "$dir/release.tmp" "$dir/release"
}

# kernel_setup SERIES[-FLAVOUR], or debug
kernel_setup() {
	if [[ $1 == debug ]]; then
		debug_kernel_setup
		return
	fi
	local series=${1%%-*} flavour=cloud-amd64 dir=$BUILD/kernel/$1
	[[ $1 == "$series" ]] || flavour=${1#*-}
	[[ -e $dir/release ]] || step "$1 kernel packages" get_kernel "$series" "$flavour" "$dir"
	[[ -e $dir/kdir ]] || in_root "$REPO/scripts/kernel-metadata" \
		--series "$series" "$(<"$dir/release")" "$dir" || exit 1
}
