/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What bindgen reads for rust/bindings.rs: headers the kernel crate does not
 * cover, and the private ones of lockd and nfsd.
 */

#include <linux/file.h>
#include <linux/filelock.h>
#include <linux/fprobe.h>
#include <linux/namei.h>
#include <linux/poll.h>
#include <linux/sunrpc/addr.h>
#include <linux/sunrpc/svc.h>
#include <linux/sunrpc/svc_xprt.h>
#include <linux/sunrpc/xdrgen/_defs.h>
#include <net/net_namespace.h>

#include <fs/lockd/lockd.h>
#include <fs/lockd/share.h>
/*
 * lockd's xdr.h has macros of these names, and both xdrgen headers the same
 * enumerators: keep those of NLM version 3 apart.
 */
#undef SM_MAXSTRLEN
#undef SM_PRIV_SIZE
#define LM_MAXSTRLEN nlm3_LM_MAXSTRLEN
#define LM_MAXNAMELEN nlm3_LM_MAXNAMELEN
#define MAXNETOBJ_SZ nlm3_MAXNETOBJ_SZ
#define fsm_DN nlm3_fsm_DN
#define fsm_DR nlm3_fsm_DR
#define fsm_DW nlm3_fsm_DW
#define fsm_DRW nlm3_fsm_DRW
#define fsa_NONE nlm3_fsa_NONE
#define fsa_R nlm3_fsa_R
#define fsa_W nlm3_fsa_W
#define fsa_RW nlm3_fsa_RW
#define SM_PRIV_SIZE nlm3_SM_PRIV_SIZE
#include <linux/sunrpc/xdrgen/nlm3.h>
#undef LM_MAXSTRLEN
#undef LM_MAXNAMELEN
#undef MAXNETOBJ_SZ
#undef fsm_DN
#undef fsm_DR
#undef fsm_DW
#undef fsm_DRW
#undef fsa_NONE
#undef fsa_R
#undef fsa_W
#undef fsa_RW
#undef SM_PRIV_SIZE
#include <linux/sunrpc/xdrgen/nlm4.h>

#include <fs/nfsd/xdr4.h>

#include "helpers.h"
#include "states.h"
#include "symbols.h"

/* Macros that bindgen does not evaluate, and names it does not keep. */
enum {
	NFS_FAILOVER_LOOKUP_FOLLOW = LOOKUP_FOLLOW,
	NFS_FAILOVER_IPPROTO_UDP = IPPROTO_UDP,
	NFS_FAILOVER_POLL_READABLE = POLLIN | POLLRDNORM,
	NFS_FAILOVER_POLL_CHANGED = POLLPRI | POLLERR,
};
