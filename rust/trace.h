/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The trace event of the module: a verdict that was given.
 */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM nfs_failover

#if !defined(NFS_FAILOVER_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define NFS_FAILOVER_TRACE_H

#include <linux/tracepoint.h>

/* Words of rust/policy, so that nothing here has to follow what they mean. */
TRACE_EVENT(nfs_failover_verdict,
	TP_PROTO(
		const char *unit,
		const char *client,
		const char *operation,
		const char *verdict,
		const char *reason
	),

	TP_ARGS(unit, client, operation, verdict, reason),

	TP_STRUCT__entry(
		__string(unit, unit)
		__string(client, client)
		__string(operation, operation)
		__string(verdict, verdict)
		__string(reason, reason)
	),

	TP_fast_assign(
		__assign_str(unit);
		__assign_str(client);
		__assign_str(operation);
		__assign_str(verdict);
		__assign_str(reason);
	),

	TP_printk(
		"%s client=%s operation=%s verdict=%s reason=%s",
		__get_str(unit), __get_str(client), __get_str(operation),
		__get_str(verdict), __get_str(reason)
	)
);

#endif

/* In the folder of this file, which Kbuild names. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
