# SPDX-License-Identifier: Apache-2.0
"""What each fuzz target may take, and which targets stand for one family of the issue's goals.

A target of modules.FUZZ_TARGETS that is named nowhere here gets the default limits and is a family
of its own."""
import os
from collections import namedtuple

# max_len: bytes of an input.  timeout_s, rss_mb, malloc_mb: where "bounded time and memory" ends.
# files, kib: what of its corpus is committed at most.  is_fast: more than some 50,000 a second;
# there libFuzzer's entropic schedule costs more than the target itself.
Target = namedtuple('Target', 'max_len timeout_s rss_mb malloc_mb files kib is_fast')

# No allocation, no state: an input takes some microseconds, the rest of the timeout is for busy
# machines.
CODEC = Target(max_len=4096, timeout_s=5, rss_mb=256, malloc_mb=16, files=300, kib=400,
               is_fast=True)
STATEFUL = Target(max_len=4096, timeout_s=10, rss_mb=512, malloc_mb=64, files=1000, kib=400,
                  is_fast=False)
# Headers and messages: room for more list entries than are accepted, and for every structure;
# longer inputs find nothing else and take their time.
SPECIAL = {
    'fuzz_fwd': CODEC._replace(max_len=1024),
    'fuzz_message': CODEC._replace(max_len=2048),
    'fuzz_certificate': CODEC._replace(is_fast=False),
    'fuzz_datagram': STATEFUL,
    'fuzz_dns': CODEC._replace(max_len=2048),
    'fuzz_link': STATEFUL,
    'fuzz_node': STATEFUL,
    'fuzz_overlay_doc': CODEC._replace(max_len=16384, timeout_s=10, malloc_mb=32, is_fast=False),
    'fuzz_pidf': CODEC._replace(is_fast=False),
    'fuzz_prefs': CODEC._replace(is_fast=False),
    'fuzz_record': STATEFUL._replace(max_len=1024),
    'fuzz_restore': STATEFUL._replace(max_len=1024),
    'fuzz_sip': CODEC._replace(max_len=8192),
    'fuzz_sip_hdr': CODEC._replace(max_len=1024, is_fast=False),
    'fuzz_sip_tx': STATEFUL._replace(max_len=1024),
    'fuzz_sip_uri': CODEC._replace(max_len=1024, is_fast=False),
    'fuzz_store_parts': CODEC._replace(is_fast=False),
    'fuzz_tls_stream': STATEFUL._replace(max_len=1024),
    'fuzz_ws': CODEC._replace(max_len=8192, is_fast=False),
}

# Two CPU-hours each are the goal; the first campaign's minutes share out the time of a campaign.
GOAL_S = 2 * 3600
FIRST_MINUTES = {'fuzz_frame': 10, 'fuzz_fwd': 10, 'fuzz_message': 10}
DEFAULT_MINUTES = 3
FAMILIES = {
    'bodies': ['fuzz_body_attach', 'fuzz_body_config', 'fuzz_body_diagnostics',
               'fuzz_body_storage', 'fuzz_body_topology'],
    'certificate': ['fuzz_certificate'],
    'configuration': ['fuzz_overlay_doc'],
    'frame': ['fuzz_frame'],
    'header': ['fuzz_fwd'],
    'message': ['fuzz_message'],
    'security': ['fuzz_secblock'],
    'stored': ['fuzz_stored'],
}


def of(name):
    return SPECIAL.get(name, CODEC)


def stem(name):
    return name.removeprefix('fuzz_')


def families(names):
    """{family: its targets among `names`}."""
    table = {family: [n for n in listed if n in names] for family, listed in FAMILIES.items()}
    placed = [n for listed in table.values() for n in listed]
    table.update({stem(n): [n] for n in names if n not in placed})
    return {family: listed for family, listed in table.items() if listed}


def first_minutes(name):
    return FIRST_MINUTES.get(name, DEFAULT_MINUTES)


def dictionary(name, top):
    path = os.path.join(top, 'fuzz/%s.dict' % stem(name))
    return path if os.path.exists(path) else None


def limits(name):
    """The limits as options of libFuzzer."""
    t = of(name)
    return ['-max_len=%d' % t.max_len, '-timeout=%d' % t.timeout_s, '-rss_limit_mb=%d' % t.rss_mb,
            '-malloc_limit_mb=%d' % t.malloc_mb, '-entropic=%d' % (not t.is_fast)]
