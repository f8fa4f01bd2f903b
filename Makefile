# SPDX-License-Identifier: GPL-2.0-only
#
# make                 build the module for the newest 7.2 kernel of trixie-backports,
# make KERNEL=7.3      or 7.3, in a root of its own under build/
# make tools           build nfs-failoverctl, the command
# make KDIR=... ...    build either on this machine for itself, without a root of its own;
#                      KDIR is usually /lib/modules/$(uname -r)/build
# make help            what else there is

SHELL := /bin/bash
.DELETE_ON_ERROR:

SERIES := 7.2 7.3
KERNEL ?= 7.2
export BUILD ?= $(CURDIR)/build

JOBS := -j$(shell nproc)
RUSTFMT_FILES = $(shell git ls-files '*.rs')
SHELL_FILES = $(shell git ls-files -s | sed -n 's/^100755 .*\t//p' | xargs grep -lE '^\#!/bin/(ba)?sh') \
	$(shell git ls-files 'scripts/lib/*.sh' 'tests/*.sh')

.PHONY: module modules_install tools tools_install check test bench demo lab lab-clean clean help

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

## Install the module for the kernel of this machine (after make KDIR=...)
modules_install:
	@scripts/build-native "$(or $(KDIR),/lib/modules/$(shell uname -r)/build)" modules_install
	depmod

TOOLS := $(BUILD)/tools
DESTDIR ?=

# What was built here runs here.
IN_ROOT := $(if $(KDIR),,scripts/in-root)

## Build nfs-failoverctl, its man pages and completions
tools: export NATIVE := $(KDIR)
tools:
	@$(if $(KDIR),:,scripts/setup --root-only)
	@tools/cargo build --quiet --release
	@[[ $(TOOLS)/man -nt $(TOOLS)/release/nfs-failoverctl ]] || { \
		rm -rf $(TOOLS)/man $(TOOLS)/completions && \
		$(IN_ROOT) $(TOOLS)/release/nfs-failoverctl generate completions $(TOOLS)/completions && \
		$(IN_ROOT) $(TOOLS)/release/nfs-failoverctl generate man $(TOOLS)/man; }

## Install nfs-failoverctl, its pages and its systemd drop-in under $(DESTDIR)/
tools_install: tools
	install -D -m 755 $(TOOLS)/release/nfs-failoverctl $(DESTDIR)/usr/sbin/nfs-failoverctl
	install -d $(DESTDIR)/usr/lib/nfs-failover $(DESTDIR)/usr/share/man/man1
	ln -sf ../../sbin/nfs-failoverctl $(DESTDIR)/usr/lib/nfs-failover/statd-callout
	install -m 644 $(TOOLS)/man/*.1 $(DESTDIR)/usr/share/man/man1/
	install -D -m 644 $(TOOLS)/completions/nfs-failoverctl.bash \
		$(DESTDIR)/usr/share/bash-completion/completions/nfs-failoverctl
	install -D -m 644 $(TOOLS)/completions/_nfs-failoverctl \
		$(DESTDIR)/usr/share/zsh/vendor-completions/_nfs-failoverctl
	install -D -m 644 $(TOOLS)/completions/nfs-failoverctl.fish \
		$(DESTDIR)/usr/share/fish/vendor_completions.d/nfs-failoverctl.fish
	install -D -m 644 tools/systemd/rpc-statd-notify.service.d/nfs-failover.conf \
		$(DESTDIR)/usr/lib/systemd/system/rpc-statd-notify.service.d/nfs-failover.conf

## Formatting, lints, host tests of rust/policy, documentation: no VM
check:
	@scripts/setup --kernel-only $(KERNEL)
	@scripts/check $(KERNEL)

## All tests: check, then the VM tests on both series; T=name runs one VM test
test: $(if $(T),,check)
	@scripts/setup $(SERIES)
	@$(MAKE) --no-print-directory tools
	@for series in $(SERIES); do scripts/build $$series || exit 1; done
	@python3 tests/selftests/run.py $(foreach s,$(SERIES),--kernel $(s)) $(T)

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

## End all labs
lab-clean:
	@scripts/lab stop --all

## Remove what was built; build/root and build/kernel stay (rm -r build for all)
clean: lab-clean
	rm -rf $(BUILD)/module $(BUILD)/payload $(BUILD)/host $(BUILD)/tools

## This list
help:
	@awk '/^## / { text = substr($$0, 4) } \
	/^[a-z_]+:/ && text { sub(":.*", ""); printf "%-16s %s\n", $$0, text; text = "" }' Makefile
