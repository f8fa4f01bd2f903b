/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What rust/helpers.c offers to rust/sys: inline functions and macros, and
 * fields of structures too large to bind. Wrappers only, in alphabetical order.
 */

#ifndef NFS_FAILOVER_HELPERS_H
#define NFS_FAILOVER_HELPERS_H

#include <linux/ftrace.h>
#include <linux/sunrpc/svc.h>
#include <net/genetlink.h>

struct rpc_task;
struct svc_fh;

unsigned long rust_helper_ftrace_regs_get_argument(struct ftrace_regs *regs,
						   unsigned int n);
unsigned long rust_helper_ftrace_regs_get_return_value(struct ftrace_regs *regs);
void rust_helper_ftrace_regs_set_argument(struct ftrace_regs *regs,
					  unsigned int n, unsigned long value);
void rust_helper_ftrace_regs_set_return_value(struct ftrace_regs *regs,
					      unsigned long value);
struct net *rust_helper_genl_info_net(const struct genl_info *info);
const struct svc_fh *rust_helper_nfsd4_current_fh(const struct svc_rqst *rqstp);
u32 rust_helper_nfsd4_current_op(const struct svc_rqst *rqstp, bool *reclaim);
int rust_helper_lockd_up(struct net *net);
unsigned int rust_helper_net_inum(const struct net *net);
const void *rust_helper_rpc_task_calldata(const struct rpc_task *task);
struct net *rust_helper_svc_net(const struct svc_rqst *rqstp);

#endif
