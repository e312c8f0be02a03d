/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/sim_repeat.h"
#include "cmd/cmd.h"
#include "cmd/say.h"
#include "core/base.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { INDENT = 2 };

/* ---- numbers ---- */

/* 97.5 % quantiles of Student's t by degrees of freedom, from one on. */
static double quantile(size_t freedom)
{
    static const double t[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                               2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                               2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                               2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
    return freedom <= ARRAY_COUNT(t) ? t[freedom - 1] : 1.960; /* the normal one is near */
}

/* Newton's method from above, which never rises: the program does without libm. */
static double root(double square)
{
    double x = square > 1 ? square : 1;
    for (double next = (x + square / x) / 2; next < x; next = (x + square / x) / 2) {
        x = next;
    }
    return square > 0 ? x : 0;
}

json_t *sim_repeat_interval(const double *numbers, size_t count)
{
    double total = 0;
    double squares = 0;
    for (size_t i = 0; i < count; i++) {
        total += numbers[i];
    }
    double mean = count == 0 ? 0 : total / (double)count;
    for (size_t i = 0; i < count; i++) {
        squares += (numbers[i] - mean) * (numbers[i] - mean);
    }
    if (count < 2) {
        return json_pack("{s:I, s:f, s:n}", "n", (json_int_t)count, "mean", mean, "plus_minus");
    }
    double half = quantile(count - 1) * root(squares / (double)(count - 1) / (double)count);
    return json_pack("{s:I, s:f, s:f}", "n", (json_int_t)count, "mean", mean, "plus_minus", half);
}

/* ---- reports ---- */

static json_t *fold(json_t *const *values, size_t count);

/* What stands under the key in all reports that have it. */
static json_t *fold_key(json_t *const *objects, size_t count, const char *key)
{
    json_t **below = calloc(count, sizeof(json_t *));
    size_t found = 0;
    for (size_t i = 0; below != NULL && i < count; i++) {
        below[found] = json_object_get(objects[i], key);
        found += below[found] != NULL ? 1 : 0;
    }
    json_t *out = found == 0 ? NULL : fold(below, found);
    free(below);
    return out;
}

json_t *sim_repeat_fold(json_t *const *reports, size_t count)
{
    json_t *out = json_object();
    for (size_t i = 0; i < count; i++) {
        const char *key = NULL;
        json_t *value = NULL;
        json_object_foreach(reports[i], key, value)
        {
            json_t *common =
                json_object_get(out, key) == NULL ? fold_key(reports, count, key) : NULL;
            if (common != NULL) {
                json_object_set_new(out, key, common);
            }
        }
    }
    return out;
}

static json_t *fold_numbers(json_t *const *values, size_t count)
{
    double *numbers = calloc(count, sizeof(double));
    size_t found = 0;
    for (size_t i = 0; numbers != NULL && i < count; i++) {
        if (json_is_number(values[i])) {
            numbers[found++] = json_number_value(values[i]);
        }
    }
    json_t *out = found == 0 ? NULL : sim_repeat_interval(numbers, found);
    free(numbers);
    return out;
}

/* NULL: nothing that they share. */
static json_t *fold(json_t *const *values, size_t count)
{
    if (json_is_object(values[0])) {
        return sim_repeat_fold(values, count);
    }
    if (json_is_string(values[0])) {
        bool is_same = true;
        for (size_t i = 1; i < count; i++) {
            is_same = is_same && json_equal(values[0], values[i]);
        }
        return is_same ? json_incref(values[0]) : NULL;
    }
    return fold_numbers(values, count); /* some may be null: it never happened */
}

/* ---- processes ---- */

static json_t *run_one(const struct sim_repeat *r, uint64_t seed, int *status)
{
    int ends[2];
    *status = CMD_FAILED;
    (void)fflush(stdout);
    if (pipe(ends) != 0) {
        return NULL;
    }
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        int code = dup2(ends[1], STDOUT_FILENO) < 0 ? CMD_FAILED : r->run(r->context, seed);
        _exit(fflush(stdout) == 0 ? code : CMD_FAILED);
    }
    (void)close(ends[1]);
    FILE *file = fdopen(ends[0], "r");
    json_t *report = child < 0 || file == NULL ? NULL : json_loadf(file, 0, NULL);
    (void)(file == NULL ? close(ends[0]) : fclose(file));
    int ended = 0;
    if (child > 0 && waitpid(child, &ended, 0) == child && WIFEXITED(ended)) {
        *status = WEXITSTATUS(ended);
    }
    return report;
}

/* ---- for people ---- */

static void print(json_t *object, int depth)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        json_t *mean = json_object_get(value, "mean");
        json_t *half = json_object_get(value, "plus_minus");
        if (json_is_string(value)) {
            (void)printf("%*s%s: %s\n", depth, "", key, json_string_value(value));
        } else if (mean == NULL || half == NULL) {
            (void)printf("%*s%s\n", depth, "", key);
            print(value, depth + INDENT);
        } else if (json_is_null(half)) {
            (void)printf("%*s%s: %.6g\n", depth, "", key, json_number_value(mean));
        } else {
            (void)printf("%*s%s: %.6g +- %.3g\n", depth, "", key, json_number_value(mean),
                         json_number_value(half));
        }
    }
}

int sim_repeat(const struct sim_repeat *r, bool is_json)
{
    json_t **reports = calloc(r->count, sizeof(json_t *));
    json_t *failed = json_array();
    size_t found = 0;
    int worst = reports == NULL ? CMD_FAILED : CMD_OK;
    for (uint64_t i = 0; reports != NULL && i < r->count; i++) {
        int status = CMD_OK;
        reports[found] = run_one(r, r->first + i, &status);
        if (status != CMD_OK || reports[found] == NULL) {
            json_array_append_new(failed, json_integer((json_int_t)(r->first + i)));
            worst = status == CMD_OK ? CMD_FAILED : status;
        }
        found += reports[found] != NULL ? 1 : 0;
    }
    json_t *all = sim_repeat_fold(reports, found);
    json_object_del(all, "seed"); /* means nothing on average */
    if (is_json) {
        json_object_set_new(all, "first_seed", json_integer((json_int_t)r->first));
        json_object_set_new(all, "runs", json_integer((json_int_t)found));
        json_object_set(all, "failed_seeds", failed);
        json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        (void)putchar('\n');
    } else {
        (void)printf("%zu runs from seed %" PRIu64 ": mean +- half width of the 95 %% interval\n",
                     found, r->first);
        json_object_del(all, "metrics");
        print(all, 0);
        (void)printf("%zu failed\n", json_array_size(failed));
    }
    for (size_t i = 0; i < found; i++) {
        json_decref(reports[i]);
    }
    free(reports);
    json_decref(failed);
    json_decref(all);
    return worst;
}
