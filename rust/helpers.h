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

struct nfsd4_open;
struct nfsd_net;
struct rpc_task;
struct svc_fh;
union nfsd4_op_u;

/* What an operation of a COMPOUND is to a grace period. */
enum nfs_failover_claim {
	NFS_FAILOVER_NEW,
	NFS_FAILOVER_RECLAIM,
	/* It turns a delegation that the client holds into opens and locks. */
	NFS_FAILOVER_RETURN,
};

/*
 * What becomes of a reclaim. In a LOCK it stands in place of lk_reclaim, of
 * which nfsd only asks whether it is 0.
 */
enum nfs_failover_course {
	NFS_FAILOVER_AS_NEW,
	NFS_FAILOVER_AS_IS,
	NFS_FAILOVER_LOST,
	NFS_FAILOVER_LATER,
};

/* What an operation of a COMPOUND is about. */
enum nfs_failover_target {
	NFS_FAILOVER_FILE,
	/* A file that an OPEN is about to find. */
	NFS_FAILOVER_SOUGHT,
	/* Any file of the filesystem. */
	NFS_FAILOVER_ANY,
};

/* What it asks of its file, and in which numbers of the protocol. */
enum nfs_failover_ask {
	NFS_FAILOVER_OPENS,
	NFS_FAILOVER_LOCKS,
	NFS_FAILOVER_OTHER,
};

struct nfs_failover_asked {
	u64 inode;
	enum nfs_failover_ask ask;
	/* Of an OPEN. */
	u32 access;
	u32 deny;
	/* Of a lock. */
	bool exclusive;
	u64 start;
	u64 length;
};

/* For what a delegation is. */
enum nfs_failover_delegation {
	NFS_FAILOVER_DELEGATES_NOTHING,
	NFS_FAILOVER_DELEGATES_READING,
	NFS_FAILOVER_DELEGATES_WRITING,
};

/* An OPEN that could come with one. */
struct nfs_failover_opening {
	bool reclaims;
	enum nfs_failover_delegation claims;
	bool writes;
	bool shared;
};

/*
 * Files whose delegations were recalled: struct bloom_pair of fs/nfsd/nfs4state.c.
 * Without entries nothing is looked up in it.
 */
struct nfs_failover_blocked {
	int entries, old_entries;
	time64_t swap_time;
	int new;
	DECLARE_BITMAP(set[2], 256);
};

unsigned long rust_helper_ftrace_regs_get_argument(struct ftrace_regs *regs,
						   unsigned int n);
unsigned long rust_helper_ftrace_regs_get_return_value(struct ftrace_regs *regs);
void rust_helper_ftrace_regs_set_argument(struct ftrace_regs *regs,
					  unsigned int n, unsigned long value);
void rust_helper_ftrace_regs_set_return_value(struct ftrace_regs *regs,
					      unsigned long value);
struct net *rust_helper_genl_info_net(const struct genl_info *info);
const struct svc_fh *rust_helper_nfsd4_current_fh(const struct svc_rqst *rqstp);
u32 rust_helper_nfsd4_current_op(const struct svc_rqst *rqstp,
				 const void *delegations,
				 enum nfs_failover_claim *claim);
bool rust_helper_nfsd4_is_reclaim(const union nfsd4_op_u *u, bool lock);
enum nfs_failover_target
rust_helper_nfsd4_target(const struct svc_rqst *rqstp,
			 struct nfs_failover_asked *asked);
void rust_helper_nfsd4_opens(const struct nfsd4_open *open,
			     struct nfs_failover_asked *asked);
const void *rust_helper_nfsd4_client(const struct svc_rqst *rqstp);
u64 rust_helper_svc_fh_inode(const struct svc_fh *fh);
bool rust_helper_nfsd4_created(const struct nfsd4_open *open);
void rust_helper_nfsd4_turn_away(struct nfsd4_open *open);
void rust_helper_nfsd4_let_in(struct nfsd4_open *open);
void rust_helper_nfsd4_set_course(const struct svc_rqst *rqstp,
				  enum nfs_failover_course course);
enum nfs_failover_course rust_helper_nfsd4_course(const struct svc_rqst *rqstp);
bool rust_helper_nfsd4_opening(const struct nfsd4_open *open,
			       const void *stateid,
			       struct nfs_failover_opening *opening);
void rust_helper_nfsd4_unblock(struct nfs_failover_blocked *blocked,
			       spinlock_t *lock);
u32 rust_helper_nfsd4_undelegate(struct nfsd4_open *open);
void rust_helper_nfsd4_claim_again(struct nfsd4_open *open, u32 claim);
bool rust_helper_nfsd4_is_delegated(const struct nfsd4_open *open);
void rust_helper_nfsd4_recall(struct nfsd4_open *open);
u32 rust_helper_nfsd4_generation(const void *stateid);
const void *rust_helper_nfsd4_completing(const void *cstate,
					 const union nfsd4_op_u *u);
const u8 *rust_helper_nfsd4_name(const void *client, unsigned int *len);
const u8 *rust_helper_nfsd4_client_name(union nfsd4_op_u *u, bool exchange_id,
					unsigned int *len);
bool rust_helper_nfsd4_rename_client(struct svc_rqst *rqstp,
				     union nfsd4_op_u *u, bool exchange_id,
				     unsigned int kept, const u8 *tail,
				     unsigned int len);
int rust_helper_lockd_up(struct net *net);
void *rust_helper_net_generic(const struct net *net, unsigned int id);
bool rust_helper_net_has_ipv4(struct net *net, __be32 address);
bool rust_helper_net_has_ipv6(struct net *net, const u8 address[16]);
unsigned int rust_helper_net_inum(const struct net *net);
bool rust_helper_nfsd4_has_clients(const struct nfsd_net *nn);
bool rust_helper_nfsd4_knows_clients(const struct net *net,
				     const unsigned int *nfsd_net_id);
int rust_helper_nfsd4_is_recorded(const struct net *net,
				  const unsigned int *nfsd_net_id,
				  const u8 *name, unsigned int len,
				  const u8 *tail, unsigned int tail_len);
const void *rust_helper_zeroes(void);
const void *rust_helper_rpc_task_calldata(const struct rpc_task *task);
bool rust_helper_svc_is_stopping(const struct svc_rqst *rqstp);
struct net *rust_helper_svc_net(const struct svc_rqst *rqstp);
void rust_helper_trace_verdict(const char *unit, const char *client,
			       const char *operation, const char *verdict,
			       const char *reason);
bool rust_helper_trace_verdict_enabled(void);

#endif
