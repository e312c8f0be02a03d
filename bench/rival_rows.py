# SPDX-License-Identifier: Apache-2.0
"""What bench/rivals.py measures and how it is judged: the table of sources (programs that print
figures), the table of rows (ours, what it is compared with, what must hold), and the arithmetic.

A source prints JSON lines: {"work": NAME, "ns_per_op": X, ...}.  A figure is named SOURCE.WORK, or
SOURCE.WORK:FIELD for another field than ns_per_op.  An expression is a figure, a number or a tuple:
('sum', e, ...), ('min', e, ...), ('max', e, ...), ('times', e, ...), ('rate', e) = 1e9 / e."""
import re
import statistics
from collections import namedtuple

import rival_slices

# `argv`: words in which {repeat}, {ms} and {quick} are replaced; the first is a program of
# build/release/bench, or @NAME for a procedure of rival_run.py.
# `rounds`: False for a program that repeats by itself, in turn with its own floor ({repeat}).
# `quick`: whether --quick runs it too.  `series`: it gives costs by size for the report, no rows.
Source = namedtuple('Source', 'name argv rounds quick text series',
                    defaults=(True, True, '', False))

SIP_KINDS = ('options', 'register', 'forward', 'call')

SOURCES = [
    Source('memory', 'floor_memory --json', text='cold copies; probes among 10^6'),
    Source('mmsg32', 'floor_udp --json --engine mmsg --batch 32 --ms {ms}'),
    Source('mmsg64', 'floor_udp --json --engine mmsg --batch 64 --ms {ms}'),
    Source('uring', 'floor_udp --json --engine uring --ms {ms}'),
    Source('mmsg64-ack', 'floor_udp --json --engine mmsg --batch 64 --bytes 46 --ms {ms}'),
    Source('uring-ack', 'floor_udp --json --engine uring --bytes 46 --ms {ms}'),
    Source('train16', 'floor_udp --json --engine train --train 16 --hops 8 --batch 8 --ms {ms}'),
    Source('train32', 'floor_udp --json --engine train --train 32 --hops 8 --batch 8 --ms {ms}'),
    Source('tcp500', 'floor_tcp --json --bytes 500 --ms {ms}'),
    Source('tcp700', 'floor_tcp --json --bytes 700 --ms {ms}'),
    Source('tcp1300', 'floor_tcp --json --bytes 1300 --ms {ms}'),
    Source('tls', 'floor_tls --json --record --ms 50'),
    Source('dtls-record', 'floor_tls --json --datagram --connections 64 --ms 50'),
    Source('dtls-record-1', 'floor_tls --json --datagram --ms 50'),
    Source('dtls', 'dtls --json --quick --repeats 3 burst'),
    # its floors run before each repeat: what the kernel takes for a datagram differs by the second
    Source('dtls-single', 'dtls --json --floor --repeats 16 single', rounds=False),
    Source('bare', 'floor_tls --json --sign --ms 60'),
    Source('redis', '@redis {ms}', text='redis-server, redis-benchmark -P 32'),
    # on the same processor, with as many keys, ours between two runs of OpenDHT in each round
    Source('gets', '@opendht 2000 get', text='12 nodes in one process, OpenDHT and ours'),
    Source('gets-known', '@opendht 2000 get_known', quick=False),
    Source('gets-400', '@opendht 400 get', quick=False),
    # Kamailio and a node of chordial demo --hold, alive at once and loaded in turn
    *(Source('sip-' + kind, '@kamailio %s {ms}' % kind) for kind in SIP_KINDS),
    *(Source('sip-%s-awake' % kind, '@kamailio %s {ms} awake' % kind, quick=False)
      for kind in SIP_KINDS),
    Source('calls', '@calls {ms}', text='phones at one node and at two, in turn'),
    Source('sip-parse', '@sip_parse {ms}', text='ours, sofia-sip, libosip2 and memchr in turn'),
    Source('load-forward', '@load forward {ms}', text='a node under chordial load'),
    Source('delay', '@delay', rounds=False, text='callers and callees at five nodes'),
    Source('transit', 'transit --json --repeats {repeat} forward', rounds=False),
    Source('shards', 'transit --json --repeats {repeat} shards', rounds=False),
    Source('link-memory', 'transit --json memory', rounds=False),
    Source('hot-path', '@allocations', rounds=False, text='transit check'),
    Source('locks', '@locks', rounds=False, text='calls of lock functions, by who makes them'),
    Source('lookup', 'lookup --json --repeats {repeat}', rounds=False),
    Source('signed', 'signed --json {quick}', rounds=False),
    Source('latency', 'saturate --json {quick}', rounds=False),
    Source('links', 'transit --json --repeats {repeat} links', False, False, '', True),
    Source('records', 'lookup --json --repeats {repeat} --scaling', False, False, '', True),
    Source('registrations', 'register --json', False, False, '', True),
]

# `sense`: 'cost': ours / rival <= must; 'speed': rival / ours >= must (both are costs);
# 'least': ours / rival >= must (ours is a quantity that shall be large);
# 'near': |ours / rival - 1| <= must.
# `must` None: for information.  `floors`: what the rival is called in the report.
Row = namedtuple('Row', 'work text ours rival sense must stretch unit rival_text')


def row(work, text, ours, rival, must=None, stretch=None, sense='cost', unit='ns', by='floor'):
    return Row(work, text, ours, rival, sense, must, stretch, unit, by)


BEST_FORWARD = ('min', 'mmsg32.udp_mmsg_500', 'mmsg64.udp_mmsg_500', 'uring.udp_uring_500')
BEST_ACK = ('min', 'mmsg64-ack.udp_mmsg_46', 'uring-ack.udp_uring_46')
LIMIT = 'the limit'
SIZES = ('links', 'records', 'registrations')
KEYS = ('rsa2048', 'p256', 'ed25519')


def trunk_row(size, must=None, stretch=None):
    line = 'transit.forward-tls-%d' % size
    return row('forward-tls-%d' % size,
               'a message of %d bytes from one TLS trunk to another' % size,
               line, ('sum', line + ':floor_tcp_ns', line + ':floor_tls_ns'), must, stretch,
               by='coalesced TCP echo + write and read in TLS records')


def signed_row(request, answer):
    must, stretch = (0.85, 0.95) if request == answer else (None, None)
    return row('signed-%s-%s' % (request, answer),
               'look up over a trunk, request %s verified, answer %s signed' % (request, answer),
               'signed.signed/%s/%s' % (request, answer),
               'signed.signed_floor/%s/%s' % (request, answer), must, stretch, 'speed',
               by='bare verify + sign')


def cluster_row(key, must, stretch):
    return row('cluster-get-' + key,
               'a signed get, CPU of all 12 nodes; 2,000 keys each put once and got once',
               'gets.cluster/get_' + key, 'gets.opendht_get', must, stretch,
               by='OpenDHT, unsigned get')


def sip_row(kind, text, must=None, stretch=None):
    return row('sip-' + kind, text, 'sip-%s.chordial' % kind, 'sip-%s.kamailio' % kind, must,
               stretch, 'speed', by='Kamailio -X fm -x fm')


def parse_row(kind, text, rival, must, stretch):
    line = 'sip-parse.' + kind
    by = {'sofia': 'sofia-sip, msg_make', 'osip': 'libosip2, osip_message_parse'}[rival]
    return row('sip-parse-%s-%s' % (kind, rival), 'parse fully: ' + text, line,
               '%s:%s' % (line, rival), must, stretch, 'speed', by=by)


INVITES = {'invite': 'an INVITE of 833 bytes', 'invite-addresses': 'the same, hosts by address'}

ROWS = [
    trunk_row(500, 1.9, 1.5), trunk_row(700), trunk_row(1300),
    row('forward-dtls-burst', 'over DTLS links, bursts of 16 to a neighbour, against 400,000 /s '
        'where the floor is at most 0.8 us', 'dtls.forward-dtls-burst',
        ('max', 2500, ('times', 2500 / 800, 'train16.udp_train_500')), 1.0, 2 / 3, by='2.5 us'),
    row('forward-dtls-single', 'over DTLS links, one by one', 'dtls-single.forward-dtls-single',
        'dtls-single.forward-dtls-single:floor_ns', 1.25, 1.1,
        by='best forward of message and ACK + their SSL reads and writes'),
    row('lookup-memory', 'a record among 10^6 and its certificate, bytes to bytes, in process',
        'lookup.lookup/fetch', 'lookup.lookup/floor', 1.6, 1.2,
        by='batched probe + two cold copies'),
    row('lookup-tcp', 'the same over coalesced plain TCP', 'lookup.lookup/tcp', 'redis.get_100',
        0.5, 0.7, 'speed', by='redis GET, -P 32'),
    *(signed_row(request, answer) for request in KEYS for answer in KEYS),
    *(cluster_row(key, must, stretch) for key, must, stretch in (
        ('ed25519', 0.30, 0.24), ('p256', 0.60, 0.52))),
    *(row('cluster-get-known-' + key, 'the same, the value verified before',
          'gets-known.cluster/get_known_' + key, 'gets-known.opendht_get',
          by='OpenDHT, unsigned get')
      for key in ('ed25519', 'p256')),
    *(row('cluster-get-400-' + key, 'the same with 400 keys each', 'gets-400.cluster/get_' + key,
          'gets-400.opendht_get', by='OpenDHT, unsigned get')
      for key in ('ed25519', 'p256')),
    row('memory-link', 'an idle TLS link', 'link-memory.memory-idle-tls-link:bytes',
        24 * 1024, 1.0, 2 / 3, unit='bytes', by=LIMIT),
    row('memory-registration', 'a stored SIP registration beside its certificate',
        'lookup.lookup/memory:bytes_per_record', 700, 1.0, 500 / 700, unit='bytes', by=LIMIT),
    row('memory-rss', 'RSS after 10^6 stores, by the printed budget',
        'lookup.memory:rss_bytes', 'lookup.memory:budget_bytes', 0.1, sense='near', unit='bytes',
        by='the printed budget'),
    row('shards-2', 'transit in process, two shards against one, messages for a second of CPU',
        'shards.transit-two-shards:two', 'shards.transit-two-shards:one', 1.9, 1.98, 'least', '/s',
        'one shard'),
    row('shards-2-apart', 'what the machine allows: the same by two processes that share nothing',
        'shards.transit-two-processes:two', 'shards.transit-two-processes:one', None, None, 'least',
        '/s', 'one process'),
    *(row('latency-p99-' + key, 'p99 of forwarding at 50 % load, verification queue saturated',
          'latency.saturate/full_' + key, 'latency.saturate/calm_' + key,
          2.0 if key == 'ed25519' else None, 1.3, by='unsaturated p99')
      for key in ('ed25519', 'p256', 'rsa2048')),
    row('hot-path-allocations', 'allocations of ours for 16,384 messages in transit',
        'hot-path.check:allocations', 1, 0, unit='', by='none'),
    row('hot-path-locks', 'locks of ours taken by a node from its start on, 120,000 messages in '
        'transit', 'locks.transit:locks', 1, 0, unit='', by='none'),
    *(parse_row(kind, text, rival, must, stretch) for kind, text in INVITES.items()
      for rival, must, stretch in (('sofia', 5.5, 8), ('osip', 12, None))),
    *(row('sip-index-' + kind, 'index only: ' + text, 'sip-parse.%s:index' % kind,
          'sip-parse.%s:memchr' % kind, 2.3, 1.7, by="a loop of memchr('\\n')")
      for kind, text in INVITES.items()),
    parse_row('register', 'a REGISTER', 'sofia', 5, 7),
    parse_row('ok', 'a 200 OK of 812 bytes', 'sofia', 5, 7),
    parse_row('tortuous', 'a tortuous, folded INVITE of 1,006 bytes', 'sofia', 4.5, 6),
    *(parse_row(kind, text, 'osip', None, None) for kind, text in (
        ('register', 'a REGISTER'), ('ok', 'a 200 OK'), ('tortuous', 'a tortuous INVITE'))),
    sip_row('options', 'OPTIONS answered over UDP', 1.7, 2.0),
    sip_row('register', 'REGISTER again, digest checked, record in the overlay fresh, against bare '
            'usrloc', 1.45, 1.6),
    sip_row('call', 'stateful call over UDP, caller authenticated', 2.1, 2.5),
    sip_row('forward', 'a message forwarded statelessly over UDP, requests inside a dialog and '
            'their responses', 1.7, 1.95),
    *(sip_row(kind + '-awake', 'the same (%s), by generators that never sleep' % kind)
      for kind in SIP_KINDS),
    row('sip-call-tls', 'the same call between two nodes, CPU of each, against both phones at one',
        ('times', 0.5, 'calls.two'), 'calls.one', 0.8, 0.7,
        by='the call at one node, UDP on both sides'),
    *(row('sip-delay-' + name, 'INVITE to 180 through two nodes, p50, ' + text,
          'delay.delay_' + name, limit, 1.0, by=LIMIT)
      for name, text, limit in (('cached', 'callee cached', 1e6),
                                ('known', 'callee not cached', 6e6),
                                ('first', 'callee not cached, nor a connection to its node', 6e6))),
    row('live-forward-tls-500', 'as forward-tls-500, through a live node under chordial load',
        'load-forward.load_forward', ('sum', 'tcp500.tcp_echo_500', 'tls.tls_record_500'),
        by='coalesced TCP echo + write and read in TLS records'),
]

# Programs that have their floor beside them, in turn with ours, measure it by code of their own:
# by these one sees that it is no easier floor than the one of bench/floor_*.
CONTROLS = [
    ('datagrams and DTLS records of dtls single', 'dtls-single.forward-dtls-single:floor_ns',
     ('sum', BEST_FORWARD, BEST_ACK, 'dtls-record.dtls_record_500', 'dtls-record.dtls_record_9')),
    *(('TCP echo of transit, %d bytes' % n, 'transit.forward-tls-%d:floor_tcp_ns' % n,
       'tcp%d.tcp_echo_%d' % (n, n)) for n in (500, 700, 1300)),
    *(('TLS records of transit, %d bytes' % n, 'transit.forward-tls-%d:floor_tls_ns' % n,
       'tls.tls_record_%d' % n) for n in (500, 700, 1300)),
    ('probe and two copies of lookup', 'lookup.lookup/floor',
     ('sum', 'memory.probe_1e6', ('times', 2, 'memory.cold_copy_500'))),
    *(('verify + sign of signed, ' + key, 'signed.signed_floor/%s/%s' % (key, key),
       ('sum', 'bare.verify_' + key, 'bare.sign_' + key)) for key in KEYS),
]

# Figures that are shown by themselves.
FIGURES = [
    ('best forward of a datagram of 500 bytes', BEST_FORWARD),
    ('recvmmsg/sendmmsg 32', 'mmsg32.udp_mmsg_500'),
    ('recvmmsg/sendmmsg 64', 'mmsg64.udp_mmsg_500'),
    ('io_uring multishot, connected send', 'uring.udp_uring_500'),
    ('best forward of an ACK (46 bytes)', BEST_ACK),
    ('GRO/GSO trains of 16, 8 hops', 'train16.udp_train_500'),
    ('GRO/GSO trains of 32, 8 hops', 'train32.udp_train_500'),
    *(('coalesced TCP echo, %d bytes' % n, 'tcp%d.tcp_echo_%d' % (n, n)) for n in (500, 700, 1300)),
    *(('TLS 1.3, full records, %d bytes' % n, 'tls.tls_record_%d' % n) for n in (500, 700, 1300)),
    *(('DTLS 1.2 record, %d bytes, %s' % (n, text), '%s.dtls_record_%d' % (source, n))
      for source, text in (('dtls-record', '64 connections in turn'),
                           ('dtls-record-1', 'one connection')) for n in (500, 9)),
    *(('%s %s' % (what, key), 'bare.%s_%s' % (what, key))
      for key in KEYS for what in ('sign', 'verify')),
    ('copy of 500 bytes from a random slot of 64 MB', 'memory.cold_copy_500'),
    ('batched, prefetched probe among 10^6', 'memory.probe_1e6'),
    ('redis GET, values of 100 bytes', 'redis.get_100'),
    ('redis GET, values of 1000 bytes', 'redis.get_1000'),
    ('OpenDHT put', 'gets.opendht_put'), ('OpenDHT get', 'gets.opendht_get'),
    *(('Kamailio ' + text, 'sip-%s.kamailio' % kind)
      for kind, text in (('options', 'OPTIONS'), ('register', 'REGISTER'),
                         ('forward', 'stateless, message in'), ('call', 'tm, call'))),
]

# What is not flat, explained: paragraphs below the table of (source, size).
EXPLAINED = {
    ('links', 'links'): [
        'Not flat: the links of a busy node do not fit into its caches. A turn of this series takes'
        ' a record of 32 messages from each of 4 links, other ones each time, so of 10 links all'
        ' state is at hand and of 1,000 none. callgrind with simulated caches (`--cache-sim=yes'
        ' --LL=262144,8,64`, 160 links against 10, set-up included) finds about 50 more lines a'
        ' record that had to be fetched: 12 of AES-GCM keys, 16 of the connection in BoringSSL, 8'
        ' of what stands between it and us, 9 of our link, 5 of the table of the ring, 3 of the'
        ' table of connections. At 100 to 130 ns each that is 160 to 210 ns a message, which is'
        ' what 1,000 links add. Messages themselves cost the same: their buffers are used again at'
        ' once. `struct link` has what a record touches in front, in lines that follow each other;'
        ' the rest is one record layer for each connection, as TLS has it.', ''],
}

# ---- arithmetic -----------------------------------------------------------------------------


def names(expression):
    """The figures that an expression is made of."""
    if isinstance(expression, str):
        return {expression}
    if isinstance(expression, tuple):
        return set().union(*(names(part) for part in expression[1:]))
    return set()


def source_of(figure):
    return figure.split('.', 1)[0]


def sources_of(rows, figures=()):
    """Names of the sources that are needed for them."""
    wanted = [e for r in rows for e in (r.ours, r.rival)] + [e for _, e in figures]
    return {source_of(name) for e in wanted for name in names(e)}


def evaluate(expression, sample):
    """Its value in one sample {figure: number}; None when something is lacking."""
    if isinstance(expression, str):
        return sample.get(expression)
    if not isinstance(expression, tuple):
        return expression
    values = [evaluate(part, sample) for part in expression[1:]]
    if expression[0] == 'min':  # the best of what this machine has
        values = [v for v in values if v is not None] or [None]
    if None in values:
        return None
    if expression[0] == 'times':
        return values[0] * values[1]
    return {'sum': sum, 'min': min, 'max': max, 'rate': lambda v: 1e9 / v[0]}[expression[0]](values)


def flatten(source, lines):
    """{figure: number} of the JSON lines of a source.  What has a size (a field, or the end of the
    work's name, as in transit-links-100) is there as SOURCE.WORK@SIZE@NUMBER too."""
    sample = {}
    for line in lines:
        name = '%s.%s' % (source, line['work'])
        for field, costs in line.get('slices', {}).items():
            sample[(name if field == 'ns_per_op' else name + ':' + field) + '[]'] = costs
        for field, value in line.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                sample[name if field == 'ns_per_op' else name + ':' + field] = value
        named = re.fullmatch(r'(.*)-(%s)-(\d+)' % '|'.join(SIZES), name)
        size = next((s for s in SIZES if s in line), None)
        if 'ns_per_op' in line and (named or size):
            work, size, count = named.groups() if named else (name, size, line[size])
            sample['%s@%s@%s' % (work, size, count)] = line['ns_per_op']
    return sample


def join(samples):
    """Samples of rounds, where what was measured once counts in each."""
    once = {}
    for sample in samples:
        for name, value in sample.items():
            once.setdefault(name, []).append(value)
    single = {name: values[0] for name, values in once.items() if len(values) == 1}
    return [{**single, **sample} for sample in samples]


def ratio_of(sense, ours, rival):
    over, under = (rival, ours) if sense == 'speed' else (ours, rival)
    return over / under if under else None


def holds(sense, ratio, must):
    if sense == 'near':
        return abs(ratio - 1) <= must
    return ratio <= must if sense == 'cost' else ratio >= must


def slices_of(expression, sample):
    """Its value in each slice; None when it was not measured in slices."""
    if not isinstance(expression, tuple):
        return sample.get('%s[]' % expression)
    if len({source_of(name) for name in names(expression)}) != 1:
        return None  # slices of two programs have nothing to do with each other
    parts = {name: sample.get(name + '[]') for name in names(expression)}
    if None in parts.values() or len({len(costs) for costs in parts.values()}) != 1:
        return None
    return [evaluate(expression, dict(zip(parts, at))) for at in zip(*parts.values())]


def turns_of(r, samples):
    """The ratio of each turn of all rounds, of a row whose sides were measured in slices."""
    ratios, seen = [], set()
    for sample in samples:
        is_one = len({source_of(name) for name in names(r.ours) | names(r.rival)}) == 1
        sides = [slices_of(side, sample) if is_one else None for side in (r.ours, r.rival)]
        lists = tuple(id(sample.get(name + '[]')) for name in sorted(names(r.ours)))
        if None in sides or lists in seen:  # what ran once stands in each sample
            continue
        seen.add(lists)
        over, under = sides[::-1] if r.sense == 'speed' else sides
        ratios += rival_slices.turn_ratios(over, under)
    return ratios


def spread_of(values):
    """(least, largest) by the median, as ratios."""
    middle = statistics.median(values)
    return [round(min(values) / middle, 3), round(max(values) / middle, 3)] if middle else None


def judge(r, samples, errors):
    """What --json prints of a row.  The ratio is the median of the turns, where ours and its rival
    took turns in slices (rival_slices.py), with the quartiles as its spread; else of the ratios of
    the rounds: ours and its rival ran shortly after one another in each."""
    pairs = [(evaluate(r.ours, s), evaluate(r.rival, s)) for s in samples]
    ours = [a for a, _ in pairs if a is not None]
    rival = [b for _, b in pairs if b is not None]
    ratios = [ratio_of(r.sense, a, b) for a, b in pairs if a is not None and b is not None]
    ratios = [x for x in ratios if x is not None]
    ratio = statistics.median(ratios) if ratios else None
    turns = turns_of(r, samples)
    if turns:
        ratios, ratio = turns, rival_slices.middle(turns)
    judged = {'work': r.work, 'ours': statistics.median(ours) if ours else None,
              'rival': statistics.median(rival) if rival else None, 'ratio': ratio, 'must': r.must,
              'ok': ratio is not None and (r.must is None or holds(r.sense, ratio, r.must)),
              'stretch': r.stretch, 'sense': r.sense, 'unit': r.unit, 'samples': len(ratios),
              'spread': spread_of(ratios) if len(set(ratios)) > 1 else None}
    if turns:
        judged['spread'] = [round(x / ratio, 3) for x in rival_slices.quartiles(turns)]
    there = {source_of(name) for sample in samples for name in sample}
    failed = sorted({errors[s] for s in sources_of([r]) & there if s in errors})
    if ratio is None:
        judged['why'] = 'not measured: ' + why(r, samples, errors)
    elif failed:  # it has printed figures, and then found fault with what it did
        judged.update(ok=False, why='; '.join(failed))
    return judged


def why(r, samples, errors):
    """The reason that a row has no ratio."""
    there = set().union(*(s.keys() for s in samples)) if samples else set()
    lacking = sorted(name for name in names(r.ours) | names(r.rival) if name not in there)
    reasons = {errors.get(source_of(name), 'no program prints ' + name) for name in lacking}
    return '; '.join(sorted(reasons)) or 'the rival took no time'


def select(rows, text=None, is_quick=False, sources=None):
    """The rows whose work has `text` in its name, or all; of --quick, those that it measures."""
    slow = {s.name for s in sources or SOURCES if not s.quick} if is_quick else set()
    return [r for r in rows if (text is None or text in r.work)
            and not sources_of([r]) & slow]


def check_table(rows=None, sources=None):
    """Sentences about figures whose source nobody has listed, and names that are used twice."""
    rows, sources = rows or ROWS, sources or SOURCES
    listed = [s.name for s in sources]
    wrong = ['source %s is listed twice' % n for n in sorted(set(listed)) if listed.count(n) > 1]
    works = [r.work for r in rows]
    wrong += ['row %s is listed twice' % n for n in sorted(set(works)) if works.count(n) > 1]
    for name in sorted(sources_of(rows, FIGURES) - set(listed)):
        wrong.append('no source is called ' + name)
    for name in listed:
        if not re.fullmatch(r'[a-z0-9-]+', name):
            wrong.append('source %s: letters, digits and hyphens' % name)
    return wrong
