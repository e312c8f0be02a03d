/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/wire.h"

int cmd_encode(int argc, char **argv)
{
    bool is_batch = false;
    const struct options_item items[] = {
        {"batch", 0, OPTIONS_FLAG, &is_batch, NULL, "one JSON object a line in, one out"},
    };
    const struct options options = {
        .usage = "chordial encode --batch < in.jsonl > out.jsonl",
        .about =
            "JSON to RELOAD wire bytes: {\"type\": T, \"fields\": {...}} becomes {\"hex\": H} or\n"
            "{\"reject\": why}.  The notation is the one that `chordial decode` prints; a line "
            "may\n"
            "also have node_id_length, data_model, kinds and overlay_name.",
        .example =
            "    echo '{\"type\":\"PingReq\",\"fields\":{\"padding\":\"\"}}' | chordial encode"
            " --batch",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "",
        .words_least = 0,
        .words_most = 0};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (!is_batch) {
        say_error("wants lines on standard input: --batch: see --help");
        return CMD_USAGE;
    }
    struct wire *w = wire_new();
    CHECK(w != NULL);
    status = batch_run(wire_encode, w);
    wire_free(w);
    return status;
}
