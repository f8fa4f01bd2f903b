// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inline functions, macros and deep structures of the kernel for rust/sys.
 */

#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/inetdevice.h>
#include <linux/lockd/bind.h>
#include <net/addrconf.h>
#include <net/netns/generic.h>

#include <fs/nfsd/nfsd.h>
#include <fs/nfsd/netns.h>
#include <fs/nfsd/state.h>
#include <fs/nfsd/xdr4.h>

#include "assumptions.h"
#include "helpers.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

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

void *rust_helper_net_generic(const struct net *net, unsigned int id)
{
	return net_generic(net, id);
}

bool rust_helper_net_has_ipv4(struct net *net, __be32 address)
{
	return __ip_dev_find(net, address, false);
}

bool rust_helper_net_has_ipv6(struct net *net, const u8 address[16])
{
	struct in6_addr in6;

	if (!IS_ENABLED(CONFIG_IPV6))
		return false;
	memcpy(&in6, address, sizeof(in6));
	return ipv6_chk_addr(net, &in6, NULL, 0);
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

/* The operation nfsd4_proc_compound() is at, NULL if it is at none. */
static struct nfsd4_op *current_op(const struct svc_rqst *rqstp)
{
	struct nfsd4_compoundargs *args = rqstp->rq_argp;
	const struct nfsd4_compoundres *resp = rqstp->rq_resp;

	if (resp->opcnt == 0 || resp->opcnt > args->opcnt)
		return NULL;
	return &args->ops[resp->opcnt - 1];
}

/*
 * Whether a client has a delegation of an inode that keeps away what conflicts
 * with such a lock. Those that nfsd has given are told by their operations:
 * programs can have delegations, too.
 */
static bool has_delegation(const struct nfs4_client *clp, struct inode *inode,
			   const void *operations, bool write)
{
	struct file_lock_context *ctx = locks_inode_context(inode);
	const struct file_lease *lease;

	if (!ctx)
		return false;
	guard(spinlock)(&ctx->flc_lock);
	list_for_each_entry(lease, &ctx->flc_lease, c.flc_list) {
		const struct nfs4_delegation *dp = lease->c.flc_owner;

		if (lease->fl_lmops == operations &&
		    dp->dl_stid.sc_client == clp &&
		    (!write || deleg_is_write(dp->dl_type)))
			return true;
	}
	return false;
}

/*
 * The operation a COMPOUND is at, OP_ILLEGAL if it is at none, and what it is
 * to a grace period.
 */
u32 rust_helper_nfsd4_current_op(const struct svc_rqst *rqstp,
				 const void *delegations,
				 enum nfs_failover_claim *claim)
{
	const struct nfsd4_compoundres *resp = rqstp->rq_resp;
	const struct nfsd4_compound_state *cstate = &resp->cstate;
	const struct nfsd4_op *op = current_op(rqstp);

	*claim = NFS_FAILOVER_NEW;
	if (!op)
		return OP_ILLEGAL;
	switch (op->opnum) {
	case OP_LOCK:
		if (op->u.lock.lk_reclaim)
			*claim = NFS_FAILOVER_RECLAIM;
		else if (cstate->clp && cstate->current_fh.fh_dentry &&
			 has_delegation(cstate->clp,
					d_inode(cstate->current_fh.fh_dentry),
					delegations,
					op->u.lock.lk_type == NFS4_WRITE_LT ||
					op->u.lock.lk_type == NFS4_WRITEW_LT))
			*claim = NFS_FAILOVER_RETURN;
		break;
	case OP_OPEN:
		switch (op->u.open.op_claim_type) {
		case NFS4_OPEN_CLAIM_PREVIOUS:
			*claim = NFS_FAILOVER_RECLAIM;
			break;
		case NFS4_OPEN_CLAIM_DELEGATE_CUR:
		case NFS4_OPEN_CLAIM_DELEG_CUR_FH:
			*claim = NFS_FAILOVER_RETURN;
			break;
		}
		break;
	case OP_LAYOUTCOMMIT:
		if (op->u.layoutcommit.lc_reclaim)
			*claim = NFS_FAILOVER_RECLAIM;
		break;
	}
	return op->opnum;
}

/* What an OPEN asks of its file. */
void rust_helper_nfsd4_opens(const struct nfsd4_open *open,
			     struct nfs_failover_asked *asked)
{
	asked->ask = NFS_FAILOVER_OPENS;
	asked->access = open->op_share_access;
	asked->deny = open->op_share_deny;
}

static void asks_lock(u32 type, u64 start, u64 length,
		      struct nfs_failover_asked *asked)
{
	asked->ask = NFS_FAILOVER_LOCKS;
	asked->exclusive = type == NFS4_WRITE_LT || type == NFS4_WRITEW_LT;
	asked->start = start;
	asked->length = length;
}

/*
 * What the operation a COMPOUND is at is about. An OPEN by name that denies
 * others something may add that to one that the client has, where nobody is
 * asked again.
 */
enum nfs_failover_target
rust_helper_nfsd4_target(const struct svc_rqst *rqstp,
			 struct nfs_failover_asked *asked)
{
	const struct svc_fh *fh = rust_helper_nfsd4_current_fh(rqstp);
	const struct nfsd4_op *op = current_op(rqstp);

	/* A look-up that has found nothing leaves that as the current file. */
	if (!op || !fh || d_really_is_negative(fh->fh_dentry))
		return NFS_FAILOVER_ANY;
	asked->ask = NFS_FAILOVER_OTHER;
	switch (op->opnum) {
	case OP_OPEN:
		rust_helper_nfsd4_opens(&op->u.open, asked);
		if (op->u.open.op_claim_type == NFS4_OPEN_CLAIM_PREVIOUS)
			break;
		if (op->u.open.op_share_deny & NFS4_SHARE_DENY_BOTH)
			return NFS_FAILOVER_ANY;
		return NFS_FAILOVER_SOUGHT;
	case OP_REMOVE:
	case OP_RENAME:
		return NFS_FAILOVER_SOUGHT;
	case OP_LOCK:
		asks_lock(op->u.lock.lk_type, op->u.lock.lk_offset,
			  op->u.lock.lk_length, asked);
		break;
	case OP_LOCKT:
		asks_lock(op->u.lockt.lt_type, op->u.lockt.lt_offset,
			  op->u.lockt.lt_length, asked);
		break;
	case OP_READ:
	case OP_WRITE:
	case OP_SETATTR:
	case OP_SETXATTR:
	case OP_REMOVEXATTR:
		break;
	default:
		return NFS_FAILOVER_ANY;
	}
	asked->inode = rust_helper_svc_fh_inode(fh);
	return NFS_FAILOVER_FILE;
}

/* The client that sent a COMPOUND, NULL while that is not known. */
const void *rust_helper_nfsd4_client(const struct svc_rqst *rqstp)
{
	const struct nfsd4_compoundres *resp = rqstp->rq_resp;

	return resp->cstate.clp;
}

/* The number of the inode of a file handle that has one. */
u64 rust_helper_svc_fh_inode(const struct svc_fh *fh)
{
	return d_inode(fh->fh_dentry)->i_ino;
}

/* Whether an OPEN has made its file. */
bool rust_helper_nfsd4_created(const struct nfsd4_open *open)
{
	return open->op_created;
}

/* A bit of op_share_access that is no access: with it an OPEN is invalid. */
#define NO_ACCESS BIT(31)
static_assert(!(NO_ACCESS & NFS4_SHARE_ACCESS_BOTH));

/*
 * Has nfs4_get_vfs_file() refuse an OPEN, before it changes anything
 * (nfs4_file_get_access()).
 */
void rust_helper_nfsd4_turn_away(struct nfsd4_open *open)
{
	open->op_share_access |= NO_ACCESS;
}

/* The OPEN is again what it was. */
void rust_helper_nfsd4_let_in(struct nfsd4_open *open)
{
	open->op_share_access &= ~NO_ACCESS;
}

/* Whether an operation, LOCK or else OPEN, is a reclaim. */
bool rust_helper_nfsd4_is_reclaim(const union nfsd4_op_u *u, bool lock)
{
	return lock ? u->lock.lk_reclaim :
		      u->open.op_claim_type == NFS4_OPEN_CLAIM_PREVIOUS;
}

/* What nfsd then says of the reclaim that a COMPOUND is at. */
void rust_helper_nfsd4_set_course(const struct svc_rqst *rqstp,
				  enum nfs_failover_course course)
{
	struct nfsd4_op *op = current_op(rqstp);

	if (!op)
		return;
	switch (op->opnum) {
	case OP_LOCK:
		op->u.lock.lk_reclaim = course;
		break;
	case OP_OPEN:
		if (course == NFS_FAILOVER_LOST)
			op->u.open.op_claim_type = NFS4_OPEN_CLAIM_DELEGATE_PREV;
		else if (course == NFS_FAILOVER_LATER)
			op->u.open.op_claim_type = NFS4_OPEN_CLAIM_DELEG_PREV_FH;
		break;
	}
}

/* What was set so, and for a reclaim that was left alone NFS_FAILOVER_AS_IS. */
enum nfs_failover_course rust_helper_nfsd4_course(const struct svc_rqst *rqstp)
{
	const struct nfsd4_op *op = current_op(rqstp);

	if (!op)
		return NFS_FAILOVER_AS_IS;
	switch (op->opnum) {
	case OP_LOCK:
		return op->u.lock.lk_reclaim;
	case OP_OPEN:
		if (op->u.open.op_claim_type == NFS4_OPEN_CLAIM_DELEGATE_PREV)
			return NFS_FAILOVER_LOST;
		if (op->u.open.op_claim_type == NFS4_OPEN_CLAIM_DELEG_PREV_FH)
			return NFS_FAILOVER_LATER;
		break;
	}
	return NFS_FAILOVER_AS_IS;
}

/*
 * Whether another client has the file open that is opened for writing, which
 * nfsd4_check_conflicting_opens() does not look for: who opens it later has a
 * delegation recalled, who has it open does not. Or whether the client has the
 * file open for writing that it opens for reading: a Linux client then takes a
 * delegation for one that lets it write and lock as it likes.
 */
static bool is_shared(const struct nfs4_ol_stateid *stp, bool writes)
{
	struct nfs4_file *fp = stp->st_stid.sc_file;
	const struct nfs4_ol_stateid *st;

	guard(spinlock)(&fp->fi_lock);
	list_for_each_entry(st, &fp->fi_stateids, st_perfile) {
		if (st->st_openstp ||
		    READ_ONCE(st->st_stid.sc_status) & SC_STATUS_ADMIN_REVOKED)
			continue;
		if (st->st_stid.sc_client != stp->st_stid.sc_client) {
			if (writes)
				return true;
		} else if (!writes && st->st_access_bmap &
				      (BIT(NFS4_SHARE_ACCESS_WRITE) |
				       BIT(NFS4_SHARE_ACCESS_BOTH))) {
			return true;
		}
	}
	return false;
}

/* Whether an OPEN could come with a delegation, and what it is then. */
bool rust_helper_nfsd4_opening(const struct nfsd4_open *open,
			       const void *stateid,
			       struct nfs_failover_opening *opening)
{
	switch (open->op_claim_type) {
	case NFS4_OPEN_CLAIM_PREVIOUS:
		opening->reclaims = true;
		if (deleg_is_write(open->op_delegate_type))
			opening->claims = NFS_FAILOVER_DELEGATES_WRITING;
		else if (deleg_is_read(open->op_delegate_type))
			opening->claims = NFS_FAILOVER_DELEGATES_READING;
		break;
	case NFS4_OPEN_CLAIM_NULL:
	case NFS4_OPEN_CLAIM_FH:
		break;
	default:
		return false;
	}
	opening->writes = open->op_share_access & NFS4_SHARE_ACCESS_WRITE;
	opening->shared = is_shared(stateid, opening->writes);
	return true;
}

/*
 * Has nfsd forget from which files it has recalled delegations, as half a minute
 * later it would anyway.
 */
void rust_helper_nfsd4_unblock(struct nfs_failover_blocked *blocked,
			       spinlock_t *lock)
{
	if (!READ_ONCE(blocked->entries))
		return;
	guard(spinlock)(lock);
	memset(blocked, 0, sizeof(*blocked));
}

/* Has nfs4_open_delegation() give nothing. The claim it had is to be put back. */
u32 rust_helper_nfsd4_undelegate(struct nfsd4_open *open)
{
	u32 claim = open->op_claim_type;

	open->op_claim_type = NFS4_OPEN_CLAIM_DELEGATE_PREV;
	return claim;
}

/* The OPEN has the claim again that it came with. */
void rust_helper_nfsd4_claim_again(struct nfsd4_open *open, u32 claim)
{
	open->op_claim_type = claim;
}

/* Whether an OPEN came with a delegation. */
bool rust_helper_nfsd4_is_delegated(const struct nfsd4_open *open)
{
	return deleg_is_read(open->op_delegate_type) ||
	       deleg_is_write(open->op_delegate_type);
}

/* The client is to give it back as soon as it has it. */
void rust_helper_nfsd4_recall(struct nfsd4_open *open)
{
	open->op_recall = true;
}

/* How often an OPEN was granted to the stateid. */
u32 rust_helper_nfsd4_generation(const void *stateid)
{
	const struct nfs4_ol_stateid *stp = stateid;

	return stp->st_stid.sc_stateid.si_generation;
}

static struct xdr_netobj *client_name(union nfsd4_op_u *u, bool exchange_id)
{
	return exchange_id ? &u->exchange_id.clname : &u->setclientid.se_name;
}

/*
 * The client that says in a RECLAIM_COMPLETE that it is through with all of its
 * filesystems. It is pinned by the session of the COMPOUND.
 */
const void *
rust_helper_nfsd4_completing(const void *cstate, const union nfsd4_op_u *u)
{
	const struct nfsd4_compound_state *state = cstate;

	return u->reclaim_complete.rca_one_fs ? NULL : state->clp;
}

/* Its name, which stays while it does. */
const u8 *rust_helper_nfsd4_name(const void *client, unsigned int *len)
{
	const struct nfs4_client *clp = client;

	*len = clp->cl_name.len;
	return clp->cl_name.data;
}

/* What a client of EXCHANGE_ID or else SETCLIENTID calls itself. */
const u8 *rust_helper_nfsd4_client_name(union nfsd4_op_u *u, bool exchange_id,
					unsigned int *len)
{
	const struct xdr_netobj *name = client_name(u, exchange_id);

	*len = name->len;
	return name->data;
}

/*
 * Gives it another name: the first bytes of what it has, and a tail. The memory
 * goes with the COMPOUND's (nfsd4_release_compoundargs()).
 */
bool rust_helper_nfsd4_rename_client(struct svc_rqst *rqstp,
				     union nfsd4_op_u *u, bool exchange_id,
				     unsigned int kept, const u8 *tail,
				     unsigned int len)
{
	struct xdr_netobj *name = client_name(u, exchange_id);
	struct nfsd4_compoundargs *args = rqstp->rq_argp;
	struct svcxdr_tmpbuf *buffer;

	if (kept > name->len)
		return false;
	buffer = kmalloc(struct_size(buffer, buf, kept + len), GFP_ATOMIC);
	if (!buffer)
		return false;
	memcpy(buffer->buf, name->data, kept);
	memcpy(buffer->buf + kept, tail, len);
	name->data = buffer->buf;
	name->len = kept + len;
	buffer->next = args->to_free;
	args->to_free = buffer;
	return true;
}

/* Whether nfsd knows any NFSv4 client. */
bool rust_helper_nfsd4_has_clients(const struct nfsd_net *nn)
{
	return atomic_read(&nn->nfs4_client_count) > 0;
}

/* The same of a namespace. */
bool rust_helper_nfsd4_knows_clients(const struct net *net,
				     const unsigned int *nfsd_net_id)
{
	return rust_helper_nfsd4_has_clients(net_generic(net, *nfsd_net_id));
}

/*
 * Whether a client of that name, which has two parts, is among those that nfsd
 * expects to reclaim after a restart: 1 or 0, or -EAGAIN if it cannot be looked
 * at now.
 */
int rust_helper_nfsd4_is_recorded(const struct net *net,
				  const unsigned int *nfsd_net_id,
				  const u8 *name, unsigned int len,
				  const u8 *tail, unsigned int tail_len)
{
	struct nfsd_net *nn = net_generic(net, *nfsd_net_id);
	const struct nfs4_client_reclaim *crp;
	int found = 0;
	unsigned int i;

	if (!down_read_trylock(&nn->reclaim_str_hashtbl_lock))
		return -EAGAIN;
	for (i = 0; nn->reclaim_str_hashtbl_size && i < CLIENT_HASH_SIZE; i++)
		list_for_each_entry(crp, &nn->reclaim_str_hashtbl[i], cr_strhash)
			if (crp->cr_name.len == len + tail_len &&
			    !memcmp(crp->cr_name.data, name, len) &&
			    !memcmp(crp->cr_name.data + len, tail, tail_len))
				found = 1;
	up_read(&nn->reclaim_str_hashtbl_lock);
	return found;
}

/* A page of zeroes, which is there for ever: a path, or a file handle. */
static_assert(sizeof(struct svc_fh) <= PAGE_SIZE);

const void *rust_helper_zeroes(void)
{
	return page_address(ZERO_PAGE(0));
}

const void *rust_helper_rpc_task_calldata(const struct rpc_task *task)
{
	return task->tk_calldata;
}

/* Whether the thread of a request was told to end. */
bool rust_helper_svc_is_stopping(const struct svc_rqst *rqstp)
{
	return test_bit(RQ_VICTIM, &rqstp->rq_flags);
}

struct net *rust_helper_svc_net(const struct svc_rqst *rqstp)
{
	return SVC_NET(rqstp);
}

void rust_helper_trace_verdict(const char *unit, const char *client,
			       const char *operation, const char *verdict,
			       const char *reason)
{
	trace_nfs_failover_verdict(unit, client, operation, verdict, reason);
}

bool rust_helper_trace_verdict_enabled(void)
{
	return trace_nfs_failover_verdict_enabled();
}
