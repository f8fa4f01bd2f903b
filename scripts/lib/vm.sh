# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# For scripts/setup: what the VMs boot. Sourced; needs lib/common.sh, lib/kernel.sh, lib/debug.sh.

# The ELF kernel inside vmlinuz: qemu starts it directly (PVH), which saves the
# decompression, seconds under emulation.
extract_vmlinux() {
	python3 - "$1" <<'END' | in_root zstd -dqc >"$2"
import struct, sys
# Documentation/arch/x86/boot.rst: payload_offset and payload_length count from
# the protected mode code, which follows setup_sects + 1 sectors.
image = open(sys.argv[1], "rb").read()
offset, length = struct.unpack_from("<II", image, 0x248)
start = (image[0x1f1] + 1) * 512 + offset
payload = image[start:start + length]
if payload[:4] != b"\x28\xb5\x2f\xfd":
    sys.exit("the kernel image is not compressed with zstd")
# The last four bytes are the size of the result, added by the kernel's build.
sys.stdout.buffer.write(payload[:-4])
END
}

# The modules and the kernel of Debian's packages in directory $1, into directory $2.
unpack_vm_kernel() {
	local release tmp=$2 m deb
	release=$(<"$1/release")
	for deb in "$1"/deb/*.deb; do
		in_root dpkg-deb -x "$deb" "$tmp/package"
	done
	m=$tmp/package/usr/lib/modules/$release
	# vmlinuz, or vmlinuz.unsigned
	extract_vmlinux "$m"/vmlinuz* "$tmp/vmlinux"
	rm "$m"/vmlinuz*
	# Decompressing in the VM would cost more than reading.
	find "$m" -name '*.ko.xz' -print0 | xargs -0 -r -n 20 -P "$(nproc)" unxz
	cp "$BUILD/root/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$m/"
	in_root depmod -b "$tmp/package/usr" "$release"
	mv "$tmp/package/usr/lib/modules" "$tmp/modules"
}

make_vm_kernel() {
	local dir=$BUILD/kernel/$1 release tmp
	release=$(<"$dir/release")
	tmp=$dir/vm.tmp
	rm -rf "$tmp"
	mkdir -p "$tmp/initrd/dev" "$tmp/initrd/root" "$tmp/package"
	if [[ $1 == debug ]]; then
		install_debug_kernel "$tmp"
	else
		unpack_vm_kernel "$dir" "$tmp"
	fi

	cp "$REPO/scripts/vm/initrd-init" "$tmp/initrd/init"
	cp "$BUILD/root/bin/busybox" "$tmp/initrd/busybox"
	cp "$tmp/modules/$release/kernel/drivers/block/virtio_blk.ko" "$tmp/initrd/"
	(cd "$tmp/initrd" && find . | in_root cpio -o -H newc --quiet >"$tmp/initrd.cpio")
	rm -rf "$tmp/initrd" "$tmp/package"
	mv "$tmp/initrd.cpio" "$tmp/initrd"
	rm -rf "$dir/vm"
	mv "$tmp" "$dir/vm"
}

vm_kernel_setup() {
	local dir=$BUILD/kernel/$1
	local done=$dir/vm/initrd
	[[ -e $done && $done -nt $REPO/scripts/vm/initrd-init && ! $dir/release -nt $done ]] || step "$1 kernel for VMs" make_vm_kernel "$1"
}

vm_packages=(
	nfs-kernel-server nfs-common rpcbind kmod iproute2 iputils-ping python3
	e2fsprogs util-linux mount procps
)

# make_vm_root NAME PACKAGE...
make_vm_root() {
	local name=$1 tmp=$BUILD/vm/$1.tmp
	shift
	rm -rf "$tmp"
	# shellcheck disable=SC2016 # $1 is mmdebstrap's
	sources | mmdebstrap --variant=essential --mode=root \
		--include="$(IFS=,; set -- "${vm_packages[@]}" "$@"; echo "$*")" \
		--aptopt='APT::Install-Recommends "false"' \
		--aptopt='Dpkg::Use-Pty "0"' --aptopt='Acquire::Retries "3"' \
		--aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		trixie "$tmp" -
	mv "$tmp" "$BUILD/vm/$name"
}

make_vm_image() {
	local r=$BUILD/vm/$1 img=$BUILD/vm/$1.img name s
	cp "$REPO/scripts/vm/init" "$r/sbin/init"
	cp "$REPO/scripts/vm/lab-agent" "$r/sbin/lab-agent"
	cp "$REPO/scripts/vm/identify" "$r/sbin/lab-identify"
	mkdir -p "$r/usr/lib/lab"
	cp "$REPO/scripts/vm/lab_agent.py" "$r/usr/lib/lab/"
	chroot "$r" /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/lab
	for name in poweroff reboot halt shutdown; do
		cp "$REPO/scripts/vm/poweroff" "$r/sbin/$name"
	done
	mkdir -p "$r/lab" "$r/srv" "$r/mnt"
	rm -rf "$r/lib/modules"
	mkdir -p "$r/lib/modules"
	for s in "$BUILD"/kernel/*/vm; do
		cp -a --reflink=auto "$s"/modules/* "$r/lib/modules/"
	done
	rm -f "$img.tmp"
	truncate -s 2G "$img.tmp"
	mkfs.ext4 -q -d "$r" -L lab-root -m 0 -E lazy_itable_init=1,lazy_journal_init=1 \
		-J size=16 "$img.tmp"
	mv "$img.tmp" "$img"
}

# Anything that is in the image and newer than it?
vm_image_stale() {
	local img=$BUILD/vm/$1.img f
	[[ -e $img ]] || return 0
	for f in "$REPO"/scripts/vm/* "$BUILD"/kernel/*/vm; do
		[[ ! $f -nt $img ]] || return 0
	done
	return 1
}

# vm_image_setup NAME PACKAGE...: build/vm/NAME.img, with more packages than it has anyway
vm_image_setup() {
	local name=$1
	mkdir -p "$BUILD/vm"
	[[ -e $BUILD/vm/$name ]] || step "VM root${2:+, $name}" make_vm_root "$@"
	! vm_image_stale "$name" || step "VM image${2:+, $name}" make_vm_image "$name"
}
