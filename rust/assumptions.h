/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernels this module would not be right on. Each line is the reason.
 */

#ifndef NFS_FAILOVER_ASSUMPTIONS_H
#define NFS_FAILOVER_ASSUMPTIONS_H

#ifndef CONFIG_X86_64
#error "CONFIG_X86_64 is not set: arguments are changed in registers of x86"
#endif
#ifndef CONFIG_FPROBE
#error "CONFIG_FPROBE is not set: functions of lockd and nfsd cannot be hooked"
#endif
#ifndef CONFIG_KALLSYMS_ALL
#error "CONFIG_KALLSYMS_ALL is not set: what is a lock of lockd cannot be recognised"
#endif
#ifndef CONFIG_LOCKD_MODULE
#error "CONFIG_LOCKD is not m: lockd's functions and objects are looked up in its module"
#endif
#ifndef CONFIG_NFSD_MODULE
#error "CONFIG_NFSD is not m: nfsd's functions and objects are looked up in its module"
#endif
#ifdef CONFIG_PREEMPT_RT
#error "CONFIG_PREEMPT_RT is set: hooks run with preemption disabled and take spinlocks"
#endif
#ifdef CONFIG_LTO
#error "CONFIG_LTO is set: which function of lockd asks could not be told by its address"
#endif

#endif
