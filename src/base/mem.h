// SPDX-License-Identifier: Apache-2.0
// Memory of the whole process.
#pragma once

/*
 * Gives back what a process at rest does not need: free heap, and the pages of its program and its
 * libraries, most of which were for loading, linking and the first handshake. What is needed again
 * is mapped again from the page cache, at a minor fault each. Costs well under a millisecond.
 */
void pp_mem_trim(void);
