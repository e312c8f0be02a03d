/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - a main for a fuzz target without libFuzzer: runs each file of the folders that it is
 * given once.  With it tools/cover.py sees what the corpora reach. */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { PATH_CAP = 1024, INPUT_CAP = 1 << 20 };

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
/* What a custom mutator of a target would call; nothing is mutated here. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t cap);

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t cap)
{
    (void)data, (void)cap;
    return size;
}

static int run_file(const char *path)
{
    static uint8_t bytes[INPUT_CAP];
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return 0;
    }
    size_t size = fread(bytes, 1, sizeof(bytes), f);
    (void)fclose(f);
    uint8_t *exact = fuzz_copy(slice_of(bytes, size));
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    if (LLVMFuzzerInitialize != NULL) {
        (void)LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        const struct dirent *entry = NULL;
        while (folder != NULL && (entry = readdir(folder)) != NULL) {
            char path[PATH_CAP];
            int len = snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            bool is_file = entry->d_name[0] != '.' && len > 0 && (size_t)len < sizeof(path);
            count += is_file && run_file(path) ? 1 : 0;
        }
        if (folder != NULL) {
            (void)closedir(folder);
        }
    }
    (void)printf("%u inputs\n", count);
    return count > 0 ? 0 : 1;
}
