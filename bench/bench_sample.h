/* SPDX-License-Identifier: Apache-2.0 */
/* bench_sample.h - the parts of a realistic answer, for the works that decode them.
 *
 * A FetchAns for a user with two phones: two dictionary entries of Kind SIP-REGISTRATION, keyed by
 * Node-ID, each with a caller preference, a Destination List of one node and an Ed25519 signature
 * by a certificate hash.  As MessageContents it has exactly BENCH_SAMPLE_CONTENTS bytes.  (With one
 * entry and an RSA signature it could be as long; two have more fields, so this is the harder.) */
#pragma once
#include "codec/fwd.h"
#include "codec/stored.h"

enum { BENCH_SAMPLE_KIND = 1 }; /* SIP-REGISTRATION */
enum { BENCH_SAMPLE_CONTENTS = 500, BENCH_SAMPLE_VALUES = 2 };

/* Not a constant to the compiler (bench_keep), as it is none in the product. */
extern struct rl_params bench_sample_params;

/* What makes sample number `input` different from the others. */
uint64_t bench_sample_time(size_t input, unsigned value);

/* A StoredData, as value number `value` of sample `input`. */
void bench_sample_data(struct wr *w, size_t input, unsigned value);
/* MessageContents with a FetchAns. */
void bench_sample_fetch_ans(struct wr *w, size_t input);
/* A SecurityBlock with one certificate of usual size (not a real one: nobody parses it here). */
void bench_sample_secblock(struct wr *w, size_t input);
/* The whole message: on its way back over 4 nodes, the above as its payload. */
void bench_sample_message(struct wr *w, size_t input);
