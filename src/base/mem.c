// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "base/mem.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>

#include "base/base.h"

/* Segments that are not written are a file's pages, as they are in it: nothing can be lost. */
static int drop_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = *(uintptr_t *)arg, begin, end;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type != PT_LOAD || ph->p_flags & PF_W)
			continue;
		begin = (info->dlpi_addr + ph->p_vaddr) & ~(page - 1);
		end = (info->dlpi_addr + ph->p_vaddr + ph->p_memsz + page - 1) & ~(page - 1);
		/* refused for the kernel's own vDSO on some versions: no loss */
		(void)madvise((void *)begin, end - begin, MADV_DONTNEED);
	}
	return 0;
}

void pp_mem_trim(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	malloc_trim(0);
	dl_iterate_phdr(drop_segments, &page);
}
