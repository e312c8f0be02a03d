/* SPDX-License-Identifier: Apache-2.0 */
/* date.c - see date.h. */
#include "sip/date.h"

static void put_number(char *out, unsigned number, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--) {
        out[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
}

struct slice date_text(uint64_t wall_ms, char out[DATE_TEXT_CAP])
{
    static const char days[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t seconds = wall_ms / 1000, day = seconds / 86400;
    unsigned second = (unsigned)(seconds % 86400);
    /* the era of 400 years that begins on 1 March (days from civil, the other way) */
    uint64_t z = day + 719468, era = z / 146097, of_era = z % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (unsigned)((5 * of_year + 2) / 153);
    unsigned of_month = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
    unsigned civil = month < 10 ? month + 2 : month - 10; /* from 0 */
    year += era * 400 + (civil < 2 ? 1 : 0);
    memcpy(out, "Thu, 00 Jan 0000 00:00:00 GMT", DATE_TEXT_CAP);
    memcpy(out, days + day % 7 * 3, 3);
    put_number(out + 5, of_month, 2);
    memcpy(out + 8, months + (size_t)civil * 3, 3);
    put_number(out + 12, (unsigned)year, 4);
    put_number(out + 17, second / 3600, 2);
    put_number(out + 20, second / 60 % 60, 2);
    put_number(out + 23, second % 60, 2);
    return slice_of(out, DATE_TEXT_CAP - 1);
}

struct slice date_now(struct date_cache *c, uint64_t wall_ms)
{
    if (c->text[0] == '\0' || wall_ms / 1000 != c->second) {
        c->second = wall_ms / 1000;
        date_text(wall_ms, c->text);
    }
    return slice_of(c->text, DATE_TEXT_CAP - 1);
}
