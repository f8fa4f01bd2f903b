// SPDX-License-Identifier: GPL-2.0-only
/*
 * What NFSv4 clients have, for rust/sys/nfsd/state.rs.
 *
 * Lock order, which is nfsd's (nfs4_anylock_blockers()): nfsd_mutex,
 * client_lock, cl_lock, flc_lock. Below the first of them nothing sleeps.
 */

#include <linux/filelock.h>
#include <linux/fs.h>
#include <net/netns/generic.h>

#include <fs/nfsd/nfsd.h>
#include <fs/nfsd/netns.h>
#include <fs/nfsd/state.h>

#include "states.h"

/*
 * Whether @visit stopped at any state of a client. State that is closed or
 * revoked is passed over: its inode may be gone. That of others stays. Opens
 * and locks are closed under cl_lock. Delegations are not, so one may let its
 * inode go after it was looked at here, which then stays for RCU.
 */
static bool visit_states(struct nfs4_client *clp,
			 bool (*visit)(void *data, const void *client,
				       const void *state),
			 void *data)
{
	const struct nfs4_stid *stid;
	unsigned long id = 0;

	guard(rcu)();
	guard(spinlock)(&clp->cl_lock);
	for (; (stid = idr_get_next_ul(&clp->cl_stateids, &id)); id++)
		if (!READ_ONCE(stid->sc_status) && stid->sc_file &&
		    visit(data, clp, stid))
			return true;
	return false;
}

/*
 * Shows @visit all that NFSv4 clients have, those of one client one after the
 * other, until it returns true: 1 if it has, or 0. -EBUSY if nfsd is just being
 * started or stopped, and nobody was shown anything.
 */
int rust_helper_nfsd4_each_state(struct net *net, struct mutex *nfsd_mutex,
				 const unsigned int *nfsd_net_id,
				 bool (*visit)(void *data, const void *client,
					       const void *state),
				 void *data)
{
	struct nfsd_net *nn = net_generic(net, *nfsd_net_id);
	struct nfs4_client *clp;
	bool stopped = false;
	unsigned int i;

	if (!mutex_trylock(nfsd_mutex))
		return -EBUSY;
	if (test_bit(NFSD_NET_UP, &nn->flags)) {
		spin_lock(&nn->client_lock);
		for (i = 0; i < CLIENT_HASH_SIZE && !stopped; i++)
			list_for_each_entry(clp, &nn->conf_id_hashtbl[i],
					    cl_idhash) {
				stopped = visit_states(clp, visit, data);
				if (stopped)
					break;
			}
		spin_unlock(&nn->client_lock);
	}
	mutex_unlock(nfsd_mutex);
	return stopped;
}

/* Whether a client says so when it has reclaimed all that it wants. */
bool rust_helper_nfsd4_completes(const void *client)
{
	const struct nfs4_client *clp = client;

	return clp->cl_minorversion > 0;
}

const struct knfsd_fh *rust_helper_nfsd4_state_handle(const void *state)
{
	const struct nfs4_stid *stid = state;

	return &stid->sc_file->fi_fhandle;
}

/* As bmap_to_share_mode() of nfsd: there is a bit for each share mode. */
static u32 share_mode(unsigned char bmap)
{
	u32 mode, modes = 0;

	for (mode = NFS4_SHARE_ACCESS_READ; mode <= NFS4_SHARE_ACCESS_BOTH; mode++)
		if (bmap & BIT(mode))
			modes |= mode;
	return modes;
}

/* To be called by what rust_helper_nfsd4_each_state() has called. */
struct nfs_failover_state rust_helper_nfsd4_state(const void *state)
{
	const struct nfs4_stid *stid = state;
	struct nfs_failover_state has = {
		.inode = stid->sc_file->fi_inode->i_ino,
	};
	const struct nfs4_ol_stateid *stp;
	const struct nfs4_delegation *dp;

	switch (stid->sc_type) {
	case SC_TYPE_OPEN:
		stp = container_of(stid, struct nfs4_ol_stateid, st_stid);
		has.access = share_mode(READ_ONCE(stp->st_access_bmap));
		has.deny = share_mode(READ_ONCE(stp->st_deny_bmap));
		break;
	case SC_TYPE_LOCK:
		has.locks = true;
		break;
	case SC_TYPE_DELEG:
		dp = container_of(stid, struct nfs4_delegation, dl_stid);
		has.delegated = deleg_is_write(dp->dl_type) ?
					NFS4_SHARE_ACCESS_BOTH :
					NFS4_SHARE_ACCESS_READ;
		break;
	default:
		/*
		 * A layout, with which a client does what it likes, or what is
		 * just being made.
		 */
		has.access = NFS4_SHARE_ACCESS_BOTH;
		has.deny = NFS4_SHARE_DENY_BOTH;
		has.delegated = NFS4_SHARE_ACCESS_BOTH;
		break;
	}
	return has;
}

/*
 * Shows @visit the byte-range locks of a stateid that is for locks, and tells
 * how many of the file it looked at. To be called by what
 * rust_helper_nfsd4_each_state() has called.
 */
unsigned long rust_helper_nfsd4_each_lock(const void *state,
				 void (*visit)(void *data, bool exclusive,
					       u64 start, u64 end),
				 void *data)
{
	const struct nfs4_stid *stid = state;
	const struct nfs4_ol_stateid *stp =
		container_of(stid, struct nfs4_ol_stateid, st_stid);
	struct file_lock_context *ctx =
		locks_inode_context(stid->sc_file->fi_inode);
	const struct file_lock *fl;
	unsigned long looked = 0;

	if (!ctx)
		return 0;
	guard(spinlock)(&ctx->flc_lock);
	for_each_file_lock(fl, &ctx->flc_posix) {
		looked++;
		if (fl->c.flc_owner == stp->st_stateowner)
			visit(data, lock_is_write((struct file_lock *)fl),
			      fl->fl_start, fl->fl_end);
	}
	return looked;
}
