# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# For scripts/setup: a kernel that checks itself (KASAN, lockdep, kmemleak and others), built from
# linux-source of the newest series. Sourced; needs lib/common.sh, lib/kernel.sh.

DEBUG_SERIES=7.3
DEBUG_CONFIG=$REPO/scripts/kernel/debug.config

# make of that kernel: with KASAN, Rust code needs clang for what is C.
debug_make() {
	in_root env KBUILD_BUILD_USER=debian KBUILD_BUILD_HOST=debian \
		make -s -C "$BUILD/kernel/debug/tree" LLVM=1 "$@"
}

unpack_debug_kernel() {
	local dir=$BUILD/kernel/debug module
	rm -rf "$dir/tree.tmp"
	mkdir -p "$dir/tree.tmp"
	tar -C "$dir/tree.tmp" -x --strip-components=1 \
		-f "$BUILD/root/usr/src/linux-source-$DEBUG_SERIES.tar.xz"
	# gcc, with which Debian's kernels are built, leaves functions that clang would inline to be hooked.
	for module in lockd nfsd; do
		echo 'ccflags-y += -fno-inline-functions' >>"$dir/tree.tmp/fs/$module/Makefile"
	done
	mv "$dir/tree.tmp" "$dir/tree"
}

# What is asked for and is not there would be missed only by whoever looks for a fault that it finds.
check_debug_config() {
	local config=$BUILD/kernel/debug/tree/.config line missing=()
	while IFS= read -r line; do
		[[ $line != CONFIG_*=n && $line == CONFIG_* ]] || continue
		grep -qxF "$line" "$config" || missing+=("$line")
	done <"$DEBUG_CONFIG"
	((${#missing[@]} == 0)) || die "the kernel cannot be configured with ${missing[*]}"
}

build_debug_kernel() {
	local dir=$BUILD/kernel/debug
	cp "$DEBUG_CONFIG" "$dir/config"
	debug_make KCONFIG_ALLCONFIG="$dir/config" allnoconfig
	check_debug_config
	debug_make -j"$(nproc)" bzImage modules
	ln -sfn tree "$dir/kdir"
	ln -sfn tree "$dir/source"
	# Last, because it tells that all is done.
	debug_make kernelrelease >"$dir/release.tmp"
	mv "$dir/release.tmp" "$dir/release"
}

debug_kernel_setup() {
	local dir=$BUILD/kernel/debug
	[[ -e $BUILD/kernel/$DEBUG_SERIES/kdir ]] || kernel_setup "$DEBUG_SERIES"
	[[ -e $dir/tree ]] || step "debug unpack linux-source" unpack_debug_kernel
	[[ -e $dir/release && $dir/release -nt $DEBUG_CONFIG ]] || step "debug kernel" build_debug_kernel
}

# The modules and the kernel as VMs take them, in directory $1.
install_debug_kernel() {
	debug_make INSTALL_MOD_PATH="$1/package" INSTALL_MOD_STRIP=1 modules_install
	in_root llvm-objcopy --strip-debug "$BUILD/kernel/debug/tree/vmlinux" "$1/vmlinux"
	mv "$1/package/lib/modules" "$1/modules"
}
