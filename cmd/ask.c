/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ask.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { CELL_CAP = 160, COLUMNS_CAP = 24 };

const char *ask_socket(const char *given)
{
    const char *from_environment = getenv("CHORDIAL_SOCKET");
    return given != NULL                                             ? given
           : from_environment != NULL && from_environment[0] != '\0' ? from_environment
                                                                     : "/run/chordial/control.sock";
}

static enum err open_socket(const char *path, uint32_t timeout_ms, int *out, char *why)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(to.sun_path)) {
        return say_why(why, ERR_CONFIG, "not a socket path: %s: give the node's control-socket",
                       path);
    }
    memcpy(to.sun_path, path, len);
    *out = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*out < 0 || setsockopt(*out, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0 ||
        connect(*out, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        say_why(why, ERR_IO,
                "cannot reach the node: %s: %s; is it running? -s names its "
                "control-socket",
                path, say_errno());
        if (*out >= 0) {
            close(*out);
        }
        return ERR_IO;
    }
    return ERR_OK;
}

static bool send_line(int fd, const char *text)
{
    char line[4000]; /* a node reads ADMIN_SOCKET_LINE bytes at most */
    int len = snprintf(line, sizeof(line), "%s\n", text);
    return len > 0 && (size_t)len < sizeof(line) &&
           send(fd, line, (size_t)len, MSG_NOSIGNAL) == len;
}

/* Everything up to the newline, to be given to free(); NULL when there was no whole line. */
static char *read_line(int fd, size_t *out_len)
{
    size_t cap = 64 * 1024;
    size_t len = 0;
    char *text = malloc(cap);
    while (text != NULL) {
        ssize_t got = recv(fd, text + len, cap - len, 0);
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
        if (text[len - 1] == '\n') {
            *out_len = len;
            return text;
        }
        if (len == cap) {
            char *grown = cap >= ASK_BYTES_CAP ? NULL : realloc(text, 2 * cap);
            if (grown == NULL) {
                break;
            }
            text = grown;
            cap *= 2;
        }
    }
    free(text);
    return NULL;
}

static enum err exchange(int fd, const char *path, const char *request, json_t **answer, char *why)
{
    size_t len = 0;
    char *text = send_line(fd, request) ? read_line(fd, &len) : NULL;
    if (text == NULL) {
        return say_why(why, ERR_IO, "no answer: %s: the node has ended or is stuck", path);
    }
    json_error_t error_at;
    *answer = json_loadb(text, len, 0, &error_at);
    free(text);
    if (*answer == NULL) {
        return say_why(why, ERR_MALFORMED,
                       "not an answer of a node: %s: %s; is -s its "
                       "control-socket?",
                       path, error_at.text);
    }
    const char *error = json_string_value(json_object_get(*answer, "error"));
    if (error != NULL) {
        say_why(why, ERR_REMOTE, "the node refused: %s: %s", path, error);
        json_decref(*answer);
        *answer = NULL;
        return ERR_REMOTE;
    }
    return ERR_OK;
}

enum err ask_node_within(const char *path, uint32_t timeout_ms, json_t *request, json_t **answer,
                         char *why)
{
    int fd = -1;
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    *answer = NULL;
    if (text == NULL) {
        return say_why(why, ERR_MALFORMED, "not text: %s: UTF-8 is needed", path);
    }
    enum err e = open_socket(path, timeout_ms, &fd, why);
    if (e == ERR_OK) {
        e = exchange(fd, path, text, answer, why);
        close(fd);
    }
    free(text);
    return e;
}

enum err ask_node(const char *path, json_t *request, json_t **answer, char *why)
{
    return ask_node_within(path, ASK_TIMEOUT_S * 1000, request, answer, why);
}

void ask_print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT);
    (void)putchar('\n');
}

static void make_plain(json_t *string)
{
    size_t len = json_string_length(string);
    char *copy = malloc(len + 1);
    if (copy == NULL) {
        json_string_set(string, "?");
        return;
    }
    memcpy(copy, json_string_value(string), len + 1);
    say_make_plain(copy, len);
    json_string_setn(string, copy, len);
    free(copy);
}

void ask_make_plain(json_t *value) /* NOLINT(misc-no-recursion): as deep as JSON is read */
{
    size_t i = 0;
    const char *key = NULL;
    json_t *member = NULL;
    if (json_is_string(value)) {
        make_plain(value);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member)
        {
            ask_make_plain(member);
        }
    } else if (json_is_object(value)) {
        json_object_foreach(value, key, member)
        {
            ask_make_plain(member);
        }
    }
}

/* Lists are counted; the ring shows more of them in JSON. */
static const char *cell(const json_t *row, const char *key, char *out)
{
    const json_t *v = json_object_get(row, key);
    const char *text = json_string_value(v);
    if (text != NULL) {
        (void)snprintf(out, CELL_CAP, "%s", text);
    } else if (json_is_integer(v)) {
        (void)snprintf(out, CELL_CAP, "%" PRId64, (int64_t)json_integer_value(v));
    } else if (json_is_boolean(v)) {
        (void)snprintf(out, CELL_CAP, "%s", json_is_true(v) ? "yes" : "no");
    } else if (json_is_array(v)) {
        const char *first = json_string_value(json_array_get(v, 0));
        (void)snprintf(out, CELL_CAP, "%s (%zu)", first == NULL ? "-" : first, json_array_size(v));
    } else {
        (void)snprintf(out, CELL_CAP, "-");
    }
    return out;
}

void ask_print_table(const json_t *rows, const struct ask_column *columns, size_t count)
{
    size_t widths[COLUMNS_CAP];
    char text[CELL_CAP];
    size_t i = 0;
    const json_t *row = NULL;
    CHECK(count <= COLUMNS_CAP);
    for (size_t c = 0; c < count; c++) {
        widths[c] = strlen(columns[c].title);
        json_array_foreach(rows, i, row)
        {
            widths[c] = max_size(widths[c], strlen(cell(row, columns[c].key, text)));
        }
    }
    for (size_t c = 0; c < count; c++) {
        (void)printf("%-*s%s", c + 1 == count ? 0 : (int)widths[c], columns[c].title,
                     c + 1 == count ? "\n" : "  ");
    }
    json_array_foreach(rows, i, row)
    {
        for (size_t c = 0; c < count; c++) {
            (void)printf("%-*s%s", c + 1 == count ? 0 : (int)widths[c],
                         cell(row, columns[c].key, text), c + 1 == count ? "\n" : "  ");
        }
    }
}
