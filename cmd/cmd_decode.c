/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/wire.h"

int cmd_decode(int argc, char **argv)
{
    bool is_batch = false;
    const struct options_item items[] = {
        {"batch", 0, OPTIONS_FLAG, &is_batch, NULL, "one JSON object a line in, one out"},
    };
    const struct options options = {
        .usage = "chordial decode --batch < in.jsonl > out.jsonl",
        .about =
            "RELOAD wire bytes to JSON: {\"type\": T, \"hex\": H} becomes {\"fields\": {...}} or\n"
            "{\"reject\": why, \"offset\": N}.  A line may also have node_id_length (16),\n"
            "data_model (of a bare StoredData), kinds (Kind-ID to data model) and overlay_name.",
        .example = "    echo '{\"type\":\"PingReq\",\"hex\":\"0000\"}' | chordial decode --batch",
        .items = items,
        .count = ARRAY_COUNT(items)};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (!is_batch || argc != rest) {
        say_error("wants --batch and no argument: decode: see --help");
        return CMD_USAGE;
    }
    struct wire *w = wire_new();
    CHECK(w != NULL);
    status = batch_run(wire_decode, w);
    wire_free(w);
    return status;
}
