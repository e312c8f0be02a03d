// SPDX-License-Identifier: Apache-2.0
// gbench.cc - hands the works of bench.h to Google Benchmark.  The only C++ of the build.
#include "bench/bench.h"

#include <benchmark/benchmark.h>

#include <cstdint>

namespace {

void measure(benchmark::State &state, const struct bench *b, void *inputs)
{
    struct bench_result result = {};
    // One batch: the loop itself is in C.
    while (state.KeepRunningBatch(state.max_iterations)) {
        result = bench_run(b, inputs, static_cast<uint64_t>(state.max_iterations));
    }
    if (!bench_is_right(b, inputs, &result)) {
        state.SkipWithError("wrong result, or an allocation");
    }
    state.SetBytesProcessed(static_cast<int64_t>(result.iterations * b->bytes));
}

} // namespace

int main(int argc, char **argv)
{
    const int done = bench_main(argc, argv);
    if (done >= 0) {
        return done;
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 2;
    }
    for (const struct bench *b = bench_list(); b->name != nullptr; b++) {
        void *inputs = b->setup();
        benchmark::RegisterBenchmark(
            b->name, [b, inputs](benchmark::State &state) { measure(state, b, inputs); });
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
