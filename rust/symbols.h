/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where objects of other modules are that these do not export.
 */

#ifndef NFS_FAILOVER_SYMBOLS_H
#define NFS_FAILOVER_SYMBOLS_H

#include <linux/module.h>

const struct module *nfs_failover_used_module(const char *name);
bool nfs_failover_find_symbol(const struct module *mod, const char *name,
			      unsigned long *start, unsigned long *size);

#endif
