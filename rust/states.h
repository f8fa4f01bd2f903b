/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What rust/states.c offers to rust/sys/nfsd/state.rs.
 */

#ifndef NFS_FAILOVER_STATES_H
#define NFS_FAILOVER_STATES_H

#include <linux/types.h>

struct knfsd_fh;
struct mutex;
struct net;

/*
 * What a stateid is for: numbers are those of the protocol's share modes, 1 is
 * for reading and 2 for writing.
 */
struct nfs_failover_state {
	u64 inode;
	u32 access;
	u32 deny;
	u32 delegated;
	/* It is for byte-range locks. */
	bool locks;
};

int rust_helper_nfsd4_each_state(struct net *net, struct mutex *nfsd_mutex,
				 const unsigned int *nfsd_net_id,
				 bool (*visit)(void *data, const void *client,
					       const void *state),
				 void *data);
bool rust_helper_nfsd4_completes(const void *client);
const struct knfsd_fh *rust_helper_nfsd4_state_handle(const void *state);
struct nfs_failover_state rust_helper_nfsd4_state(const void *state);
unsigned long rust_helper_nfsd4_each_lock(const void *state,
				 void (*visit)(void *data, bool exclusive,
					       u64 start, u64 end),
				 void *data);

#endif
