// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module was built for, so that "nfs-failoverctl doctor" can compare it with what runs.
 */

#include <linux/btf.h>
#include <linux/module.h>
#include <linux/sunrpc/svc.h>

#include <fs/lockd/lockd.h>
#include <fs/lockd/share.h>

#include <generated/utsversion.h>

/* The kernel compares the release only, which two builds may share. */
MODULE_INFO(uts_version, UTS_VERSION);

/* Types that only Rust code looks into are not in BTF otherwise. */
static void __used layouts(void)
{
	BTF_TYPE_EMIT(struct nlm_host);
	BTF_TYPE_EMIT(struct nlm_file);
	BTF_TYPE_EMIT(struct nlm_block);
	BTF_TYPE_EMIT(struct nlm_share);
	BTF_TYPE_EMIT(struct nlm_rqst);
	BTF_TYPE_EMIT(struct nlm_lockowner);
	BTF_TYPE_EMIT(struct nsm_handle);
	BTF_TYPE_EMIT(struct lockd_lock);
	BTF_TYPE_EMIT(struct svc_rqst);
}
