// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where objects of other modules are that these do not export.
 *
 * The kernel keeps the table of a module's symbols with the module, for traces.
 * It does not change once the module is loaded.
 */

#include <linux/module.h>
#include <linux/pgtable.h>
#include <linux/rculist.h>
#include <linux/string.h>

#include "symbols.h"

/* The head of the list is part of the kernel, and not of a module. */
static bool is_module(const struct list_head *at)
{
	unsigned long address = (unsigned long)at;

	return address >= MODULES_VADDR && address < MODULES_END;
}

/*
 * The module of that name that this one uses, which also keeps it. Modules are
 * on their list from the youngest to the oldest, and a module that is used is
 * older.
 */
const struct module *nfs_failover_used_module(const char *name)
{
	const struct list_head *at = &THIS_MODULE->list;
	const struct module *mod;

	guard(rcu)();
	while (is_module(at = rcu_dereference(list_next_rcu(at)))) {
		mod = list_entry(at, struct module, list);
		if (!strcmp(mod->name, name))
			return mod;
	}
	return NULL;
}

/*
 * Compilers put a suffix to functions that they have changed, and move parts away. Variables of a
 * function are called after it, too.
 */
static bool is_named(const char *symbol, unsigned char info, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(symbol, name, len))
		return false;
	if (!symbol[len])
		return true;
	return symbol[len] == '.' && ELF_ST_TYPE(info) == STT_FUNC && !strstr(symbol + len, ".cold");
}

/* Whether a module has exactly one symbol of that name, and where. */
bool nfs_failover_find_symbol(const struct module *mod, const char *name,
			      unsigned long *start, unsigned long *size)
{
	const struct mod_kallsyms *symbols;
	bool found = false;
	unsigned int i;

	guard(rcu)();
	symbols = rcu_dereference(mod->kallsyms);
	for (i = 0; i < symbols->num_symtab; i++) {
		const Elf_Sym *symbol = &symbols->symtab[i];

		if (symbol->st_shndx == SHN_UNDEF ||
		    !is_named(symbols->strtab + symbol->st_name, symbol->st_info, name))
			continue;
		if (found)
			return false;
		found = true;
		*start = symbol->st_value;
		*size = symbol->st_size;
	}
	return found;
}
