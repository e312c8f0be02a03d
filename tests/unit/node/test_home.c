/* SPDX-License-Identifier: Apache-2.0 */
#include "node/home.h"
#include <criterion/criterion.h>

static struct address at(const char *text)
{
    struct address a;
    cr_assert_eq(address_parse(slice_text(text), 6084, &a), ERR_OK);
    return a;
}

static bool moves(const struct home *h, const char *to, bool is_held)
{
    struct address a = at(to);
    return home_has_moved(h, &a, is_held);
}

Test(home, moves_when_nothing_holds_the_old_address)
{
    struct home h;
    struct address configured = at("192.0.2.1");
    home_init(&h, &configured);
    cr_expect(home_is_at(&h, &configured));
    cr_expect_not(moves(&h, "192.0.2.9", false), "no link has ever had it: a NAT's, perhaps");
    h.is_proved = true;
    cr_expect(moves(&h, "192.0.2.9", false));
    cr_expect(moves(&h, "10.0.0.7", false), "into a private network");
    cr_expect_not(moves(&h, "192.0.2.9", true), "a machine with two addresses");
    cr_expect_not(moves(&h, "127.0.0.1", false));
    cr_expect_not(moves(&h, "169.254.1.1", false));
    cr_expect_not(moves(&h, "2001:db8::1", false), "candidates are of one family");
}

Test(home, what_is_configured_comes_first)
{
    struct home h;
    struct address configured = at("192.0.2.1");
    home_init(&h, &configured);
    h.is_proved = true;
    h.announced = at("192.0.2.9");
    cr_expect(moves(&h, "192.0.2.1", true), "it is there again");
    cr_expect_not(moves(&h, "192.0.2.8", true));
    cr_expect(moves(&h, "192.0.2.8", false));
}

Test(home, who_announces_nothing_moves_nowhere)
{
    struct home h;
    struct address none = {0};
    home_init(&h, &none);
    h.is_proved = true;
    cr_expect_not(moves(&h, "192.0.2.8", false));
}

/* A connection's record keeps a number; what is forgotten is nobody's new address. */
Test(home, places_are_numbered)
{
    struct home h;
    struct address configured = at("192.0.2.1");
    struct address other = at("192.0.2.2");
    home_init(&h, &configured);
    cr_expect_eq(home_place(&h, &configured), h.place);
    uint32_t place = home_place(&h, &other);
    cr_expect_eq(home_place(&h, &other), place, "known already");
    cr_assert_not_null(home_elsewhere(&h, place));
    cr_expect(address_is_same_host(home_elsewhere(&h, place), &other));
    cr_expect_null(home_elsewhere(&h, h.place), "that is here");
    cr_expect_null(home_elsewhere(&h, 0));
    cr_expect_null(home_elsewhere(&h, place + 1));
    struct address more = at("192.0.2.100");
    for (uint32_t i = 0; i < HOME_PLACES_CAP; i++) {
        more.ip[3]++;
        cr_expect_eq(home_place(&h, &more), place + 1 + i);
    }
    cr_expect_null(home_elsewhere(&h, place), "so many others have come since");
    cr_expect_eq(home_place(&h, &configured), h.place, "what is announced is never forgotten");
}
