# SPDX-License-Identifier: GPL-2.0-only
#
# make                 build the module for the newest 7.2 kernel of trixie-backports,
# make KERNEL=7.3      or 7.3, in a root of its own under build/
# make tools           build nfs-failoverctl, the command
# make KDIR=... ...    build either on this machine for itself, without a root of its own;
#                      KDIR is usually /lib/modules/$(uname -r)/build
# make NATIVE=y tools  the same for the command alone
# make deb             Debian packages of both, see Documentation/packages.rst
# make help            what else there is

SHELL := /bin/bash
.DELETE_ON_ERROR:

KERNEL ?= 7.2
# A test run is on both, or on the kernel that checks itself.
SERIES := $(if $(filter debug,$(KERNEL)),debug,7.2 7.3)
FLAVOUR ?= amd64
export BUILD ?= $(CURDIR)/build
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' tools/Cargo.toml 2>/dev/null)

.PHONY: module modules_install tools tools_install ocf_install dkms_install deb repo test-packages \
	test-packages-dkms test-cluster quick check test try bench demo lab reload lab-clean rust-analyzer clean help

ifdef KDIR
## Build the module for the kernel of this machine, without a root of its own
module:
	@scripts/build-native "$(KDIR)"
else
## Build the module (default)
module:
	@scripts/setup --kernel-only $(KERNEL)
	@scripts/build $(KERNEL)
endif

DESTDIR ?=

## Install the module for the kernel of this machine (after make KDIR=...), signed with SIGN_KEY=, SIGN_CERT=
modules_install: export SIGN_KEY := $(SIGN_KEY)
modules_install: export SIGN_CERT := $(SIGN_CERT)
modules_install:
	@DESTDIR="$(DESTDIR)" scripts/build-native "$(or $(KDIR),/lib/modules/$(shell uname -r)/build)" modules_install
	$(if $(DESTDIR),,depmod)

TOOLS := $(BUILD)/tools

# What was built here runs here.
export NATIVE ?= $(KDIR)
IN_ROOT := $(if $(NATIVE),,scripts/in-root)

## Build nfs-failoverctl, its man pages and completions
tools:
	@$(if $(NATIVE),:,scripts/setup --root-only)
	@tools/cargo build --quiet --release
	@[[ $(TOOLS)/man -nt $(TOOLS)/release/nfs-failoverctl ]] || { \
		rm -rf $(TOOLS)/man $(TOOLS)/completions && \
		$(IN_ROOT) $(TOOLS)/release/nfs-failoverctl generate completions $(TOOLS)/completions && \
		$(IN_ROOT) $(TOOLS)/release/nfs-failoverctl generate man $(TOOLS)/man; }

## Install nfs-failoverctl, its pages and its systemd files under $(DESTDIR)/
tools_install: tools
	install -D -m 755 $(TOOLS)/release/nfs-failoverctl $(DESTDIR)/usr/sbin/nfs-failoverctl
	install -d $(addprefix $(DESTDIR)/usr/,lib/nfs-failover share/man/man5 share/man/man8)
	ln -sf ../../sbin/nfs-failoverctl $(DESTDIR)/usr/lib/nfs-failover/statd-callout
	install -m 644 $(TOOLS)/man/*.8 $(DESTDIR)/usr/share/man/man8/
	install -m 644 tools/man/*.5 $(DESTDIR)/usr/share/man/man5/
	install -D -m 644 $(TOOLS)/completions/nfs-failoverctl.bash \
		$(DESTDIR)/usr/share/bash-completion/completions/nfs-failoverctl
	install -D -m 644 $(TOOLS)/completions/_nfs-failoverctl \
		$(DESTDIR)/usr/share/zsh/vendor-completions/_nfs-failoverctl
	install -D -m 644 $(TOOLS)/completions/nfs-failoverctl.fish \
		$(DESTDIR)/usr/share/fish/vendor_completions.d/nfs-failoverctl.fish
	install -D -m 644 tools/systemd/rpc-statd-notify.service.d/nfs-failover.conf \
		$(DESTDIR)/usr/lib/systemd/system/rpc-statd-notify.service.d/nfs-failover.conf
	install -D -m 644 tools/systemd/tmpfiles.d/nfs-failover.conf \
		$(DESTDIR)/usr/lib/tmpfiles.d/nfs-failover.conf
	install -D -m 644 tools/systemd/rpc-statd.service.d/nfs-failover.conf \
		$(DESTDIR)/usr/lib/systemd/system/rpc-statd.service.d/nfs-failover.conf
	install -m 644 tools/systemd/nsswitch.conf $(DESTDIR)/usr/lib/nfs-failover/nsswitch.conf
	install -D -m 644 tools/systemd/nfs-failover-records.service \
		$(DESTDIR)/usr/lib/systemd/system/nfs-failover-records.service
	install -m 644 tools/systemd/nfs-failover.service tools/systemd/nfs-failover-metrics.service \
		tools/systemd/nfs-failover-metrics.timer $(DESTDIR)/usr/lib/systemd/system/
	install -D -m 644 -t $(DESTDIR)/usr/share/nfs-failover tools/observability/*
	install -D -m 644 tools/etc/modules-load.conf $(DESTDIR)/usr/lib/modules-load.d/nfs-failover.conf
	@# What somebody has changed stays.
	[ -e $(DESTDIR)/etc/nfs.conf.d/nfs-failover.conf ] || install -D -m 644 \
		tools/etc/nfs-failover.conf $(DESTDIR)/etc/nfs.conf.d/nfs-failover.conf

## Install the agent for Pacemaker under $(DESTDIR)/
ocf_install:
	install -D -m 755 tools/ocf/nfslocks $(DESTDIR)/usr/lib/ocf/resource.d/nfs-failover/nfslocks

## Install the source of the module under $(DESTDIR)/usr/src, for dkms
dkms_install: dir = $(DESTDIR)/usr/src/nfs-failover-$(VERSION)
dkms_install:
	install -d $(dir)
	cp -r --parents Makefile Kbuild rust scripts/build-native scripts/kernel-metadata \
		scripts/Makefile.bindgen scripts/lib/common.sh $(dir)/
	install -m 644 tools/dkms.conf $(dir)/
	sed -i 's/#MODULE_VERSION#/$(VERSION)/' $(dir)/dkms.conf

## Build Debian packages of it all, with the module for the newest kernel, KERNEL=7.2, FLAVOUR=cloud-amd64
deb: export SIGN_KEY := $(SIGN_KEY)
deb: export SIGN_CERT := $(SIGN_CERT)
deb:
	@scripts/deb $(if $(filter file,$(origin KERNEL)),$(lastword $(SERIES)),$(KERNEL)) $(FLAVOUR)

## Make what make deb has built an apt repository, in build/deb
repo:
	@scripts/repo

## Install, upgrade and remove the packages of make repo in a trixie root of their own
test-packages:
	@tests/packages/run

## The same for nfs-failover-dkms, which builds the module there: 2.2 GB
test-packages-dkms:
	@tests/packages/run --dkms

## The agent with ocf-tester and crm_simulate, then two nodes with Pacemaker in VMs
test-cluster:
	@scripts/setup --cluster $(KERNEL)
	@scripts/build $(KERNEL)
	@tests/cluster/run
	@python3 tests/cluster/nodes.py --kernel $(KERNEL)

## The part of check that takes seconds and needs no kernel, as before each commit
quick:
	@scripts/setup --root-only
	@scripts/check --quick

## Formatting, lints, host tests of rust/policy, documentation: no VM
check:
	@scripts/setup --kernel-only $(KERNEL)
	@scripts/check $(KERNEL)

## All tests: check, then the VM tests on both series, or with KERNEL=debug on a kernel that checks itself; T=name runs one VM test
test: $(if $(T)$(filter debug,$(KERNEL)),,check)
	@scripts/setup $(SERIES)
	@$(MAKE) --no-print-directory tools
	@for series in $(SERIES); do scripts/build $$series || exit 1; done
	@python3 tests/selftests/run.py $(foreach s,$(SERIES),--kernel $(s)) $(T)

## Build, then one VM test on one series: make try T=name KERNEL=7.3; it stays running if it fails
try:
	@[[ "$(T)" ]] || { echo "make try T=name: of a file, class or test in tests/selftests" >&2; exit 1; }
	@scripts/setup $(KERNEL)
	@scripts/build $(KERNEL)
	@$(MAKE) --no-print-directory tools
	@python3 tests/selftests/run.py --kernel $(KERNEL) --keep $(T)

## The main job from nothing, stock behaviour and ours side by side
demo:
	@scripts/setup $(KERNEL)
	@scripts/build $(KERNEL)
	@python3 tests/lab/demo.py --kernel $(KERNEL)

## Moves, releases and the idle module measured in one VM run, stock behaviour and ours
bench:
	@scripts/setup $(KERNEL)
	@scripts/build $(KERNEL)
	@$(MAKE) --no-print-directory tools
	@python3 tests/bench/run.py --kernel $(KERNEL)

## Boot two servers and a client to work with by hand, with the module in /lab
lab:
	@scripts/setup $(KERNEL)
	@scripts/build $(KERNEL)
	@$(MAKE) --no-print-directory tools
	@python3 tests/lab/hand.py --kernel $(KERNEL)

## Build the module and load it into the servers of the running lab, LAB=name for another one
reload:
	@python3 tests/lab/reload.py $(if $(LAB),--name $(LAB))

## End all labs
lab-clean:
	@scripts/lab stop --all

## Write rust-project.json for editors
rust-analyzer: module
	@scripts/rust-analyzer $(KERNEL)

## Remove what was built; build/root and build/kernel stay (rm -r build for all)
clean: lab-clean
	rm -rf $(BUILD)/module $(BUILD)/payload $(BUILD)/host $(BUILD)/tools $(BUILD)/deb

## This list
help:
	@awk '/^## / { text = substr($$0, 4) } \
	/^[a-z_-]+:/ && text { sub(":.*", ""); printf "%-16s %s\n", $$0, text; text = "" }' Makefile
