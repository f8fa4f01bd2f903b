// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inline functions, macros and deep structures of the kernel for rust/sys.
 */

#include <linux/fs.h>
#include <linux/lockd/bind.h>

#include <fs/nfsd/xdr4.h>

#include "helpers.h"

unsigned long rust_helper_ftrace_regs_get_argument(struct ftrace_regs *regs,
						   unsigned int n)
{
	return ftrace_regs_get_argument(regs, n);
}

unsigned long rust_helper_ftrace_regs_get_return_value(struct ftrace_regs *regs)
{
	return ftrace_regs_get_return_value(regs);
}

/* ftrace has no setter: the caller of a traced function is x86 here. */
void rust_helper_ftrace_regs_set_argument(struct ftrace_regs *regs,
					  unsigned int n, unsigned long value)
{
	struct pt_regs *pt = &arch_ftrace_regs(regs)->regs;
	unsigned long *const arguments[] = {
		&pt->di, &pt->si, &pt->dx, &pt->cx, &pt->r8, &pt->r9,
	};

	if (n < ARRAY_SIZE(arguments))
		*arguments[n] = value;
}

void rust_helper_ftrace_regs_set_return_value(struct ftrace_regs *regs,
					      unsigned long value)
{
	ftrace_regs_set_return_value(regs, value);
}

struct net *rust_helper_genl_info_net(const struct genl_info *info)
{
	return genl_info_net(info);
}

/* The credentials are for sockets, which lockd opens only if it was stopped. */
int rust_helper_lockd_up(struct net *net)
{
	return lockd_up(net, current_cred());
}

unsigned int rust_helper_net_inum(const struct net *net)
{
	return net->ns.inum;
}

/* The current file handle of a COMPOUND, NULL if it has none yet. */
const struct svc_fh *rust_helper_nfsd4_current_fh(const struct svc_rqst *rqstp)
{
	const struct nfsd4_compoundres *resp = rqstp->rq_resp;
	const struct svc_fh *fh = &resp->cstate.current_fh;

	return fh->fh_dentry ? fh : NULL;
}

/*
 * The operation nfsd4_proc_compound() is at, and whether it reclaims;
 * OP_ILLEGAL if it is at none.
 */
u32 rust_helper_nfsd4_current_op(const struct svc_rqst *rqstp, bool *reclaim)
{
	const struct nfsd4_compoundargs *args = rqstp->rq_argp;
	const struct nfsd4_compoundres *resp = rqstp->rq_resp;
	const struct nfsd4_op *op;

	*reclaim = false;
	if (resp->opcnt == 0 || resp->opcnt > args->opcnt)
		return OP_ILLEGAL;
	op = &args->ops[resp->opcnt - 1];
	switch (op->opnum) {
	case OP_LOCK:
		*reclaim = op->u.lock.lk_reclaim;
		break;
	case OP_OPEN:
		*reclaim = op->u.open.op_claim_type == NFS4_OPEN_CLAIM_PREVIOUS;
		break;
	case OP_LAYOUTCOMMIT:
		*reclaim = op->u.layoutcommit.lc_reclaim;
		break;
	}
	return op->opnum;
}

const void *rust_helper_rpc_task_calldata(const struct rpc_task *task)
{
	return task->tk_calldata;
}

struct net *rust_helper_svc_net(const struct svc_rqst *rqstp)
{
	return SVC_NET(rqstp);
}
