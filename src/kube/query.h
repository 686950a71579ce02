// SPDX-License-Identifier: Apache-2.0
// Text for URLs.
#pragma once

/* s as part of a query or path (RFC 3986: unreserved stays, the rest is %XX). NULL: no memory. */
char *pp_query_escape(const char *s);
