/* SPDX-License-Identifier: Apache-2.0 */
/* host.h - what the machine knows: clocks, entropy, cores, kernel, descriptors. */
#pragma once
#include "core/err.h"

enum { HOST_TEXT_CAP = 72 };

uint64_t host_now_us(void);              /* monotonic */
uint64_t host_wall_ms(void);             /* since 1970 UTC */
void host_random(void *out, size_t len); /* from the kernel, unguessable */
uint32_t host_cpu_count(void);           /* that this process could use when this was first asked */
/* Pins the calling thread to the n-th of them, whatever core it inherited. */
enum err host_pin(uint32_t cpu) MUST_USE;
/* "6.1.0-28-amd64" into `out` (HOST_TEXT_CAP bytes); returns `out`. */
const char *host_kernel(char *out);
/* Raises the soft limit on descriptors to the hard one; returns what holds now. */
uint64_t host_raise_descriptors(void);
/* Descriptors open now. */
uint32_t host_descriptors_open(void);
