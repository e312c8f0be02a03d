# SPDX-License-Identifier: Apache-2.0
"""RELOAD's structures once more, in Python and from the RFCs: what tools/make_vectors.py holds
codec/ against, and where tests/live/vectors_dissect.py learns at which byte each field stands.

A kind of field knows three things: enc (JSON to bytes), dec (bytes to JSON, or a Reject with the
reason of codec/reject.def and the offset) and gen (a value to try).  A decoding notes each field in
Cursor.seen, so that a mutator can hit it."""
import ipaddress
import random

SINGLE, ARRAY, DICTIONARY = 'single', 'array', 'dictionary'
REGISTERED_KINDS = {1: DICTIONARY, 2: SINGLE, 3: ARRAY, 4: ARRAY, 0x10: ARRAY, 0x104: DICTIONARY}
TOKEN, VERSION, ENTRIES_MAX = 0xd2454c4f, 0x0a, 160
FRAGMENT_ALWAYS, FRAGMENT_LAST, FRAGMENT_OFFSET = 0x80000000, 0x40000000, 0xffffff


class Reject(Exception):
    def __init__(self, reason, offset):
        super().__init__(reason, offset)
        self.reason, self.offset = reason, offset


class Context:
    """What a decoder must know beside the bytes."""

    def __init__(self, line=None):
        line = line or {}
        self.node = line.get('node_id_length', 16)
        self.model = line.get('data_model', SINGLE)
        kinds = line.get('kinds')
        self.kinds = ({int(k): v for k, v in kinds.items()} if kinds is not None
                      else REGISTERED_KINDS)
        self.overlay = None


class Field:
    """One field as a decoding saw it: `what` is number, length, type, boolean or bytes."""

    def __init__(self, path, start, end, what):
        self.path, self.start, self.end, self.what = path, start, end, what


class Cursor:
    def __init__(self, data, context, start=0, end=None, parent=None):
        self.data, self.x, self.at = data, context, start
        self.end = len(data) if end is None else end
        self.seen = parent.seen if parent else []
        self.later = parent.later if parent else []  # what needs the whole structure first

    def left(self):
        return self.end - self.at

    def take(self, count, path, what='bytes'):
        if self.left() < count:
            raise Reject('short', self.at)
        start, self.at = self.at, self.at + count
        self.seen.append(Field(path, start, self.at, what))
        return self.data[start:self.at]

    def number(self, width, path, what='number'):
        return int.from_bytes(self.take(width, path, what), 'big')

    def frame(self, count, inside):
        """inside(cursor) must use up exactly the next `count` bytes."""
        if self.left() < count:
            raise Reject('short', self.at)
        start, self.at = self.at, self.at + count
        self.framed(start, self.at, inside)

    def length(self, width, path):
        """A length in front of so many bytes, which must be there."""
        count = self.number(width, path, 'length')
        if self.left() < count:
            raise Reject('short', self.at)
        return count

    def framed(self, start, end, inside):
        inner = Cursor(self.data, self.x, start, end, self)
        try:
            inside(inner)
        except Reject as e:
            raise Reject('inner_length' if e.reason == 'short' else e.reason, e.offset) from None
        if inner.at != end:
            raise Reject('inner_length', inner.at)


class Gen:
    """Values to try: `mode` is min, max or random."""

    def __init__(self, seed, mode, turn, context):
        self.r, self.mode, self.turn, self.node = random.Random(seed), mode, turn, context.node
        self.kinds, self.model = context.kinds, context.model
        self.budget, self.uses_node = 600, False

    def bytes(self, most):
        if self.mode == 'min':
            return b''
        if self.mode == 'max' and self.budget > 300:
            count = min(most, 280)
        else:
            count = min(most, self.r.choice((0, 1, 2, 3, 7, 16)), max(self.budget, 0))
        self.budget -= count
        return self.r.randbytes(count)

    def number(self, bits):
        if self.mode != 'random':
            return 0 if self.mode == 'min' else 2 ** bits - 1
        return self.r.getrandbits(self.r.choice((bits, bits, max(bits // 2, 1))))

    def choose(self, choices):
        """One after the other, so that every arm has its turn."""
        return choices[self.turn % len(choices)]

    def count(self, least):
        if self.mode == 'min':
            return least
        self.budget -= 20
        most = 4 if self.mode == 'max' else 3
        return max(least, most if self.mode == 'max' else self.r.randrange(most)) \
            if self.budget > 0 else least

    def node_id(self):
        self.uses_node = True
        return {'min': bytes(self.node - 1) + b'\1', 'max': b'\xff' * self.node}.get(
            self.mode) or self.r.randbytes(self.node)


def prefixed(width, data):
    if len(data) >> (8 * width):
        raise OverflowError('longer than its length can say')
    return len(data).to_bytes(width, 'big') + data


# ---- plain fields ----------------------------------------------------------------------------


class Num:
    """uint8 to uint64.  digits: JSON has it as 0x and so many digits."""

    def __init__(self, width, choices=None, digits=0, what='number'):
        self.width, self.choices, self.digits, self.what = width, choices, digits, what

    def enc(self, v, x):
        return (int(v, 16) if isinstance(v, str) else v).to_bytes(self.width, 'big')

    def json(self, v):
        return '0x%0*x' % (self.digits, v) if self.digits else v

    def dec(self, c, path):
        return self.json(c.number(self.width, path, self.what))

    def gen(self, g):
        return self.json(g.choose(self.choices) if self.choices else g.number(8 * self.width))


class Nonzero(Num):
    """An enumeration of which 0 is invalid."""

    def __init__(self, width, choices):
        super().__init__(width, choices, what='type')

    def dec(self, c, path):
        start = c.at
        v = super().dec(c, path)
        if v == 0:
            raise Reject('zero_type', start)
        return v


class Boolean:
    def enc(self, v, x):
        return bytes([v])

    def dec(self, c, path):
        start = c.at
        v = c.number(1, path, 'boolean')
        if v > 1:
            raise Reject('boolean', start)
        return v == 1

    def gen(self, g):
        return g.mode == 'max' or g.mode == 'random' and g.r.random() < 0.5


class Bytes:
    """opaque x<0..2^N-1>; width 0: all that is left."""

    def __init__(self, width, samples=None):
        self.width, self.samples = width, samples

    def enc(self, v, x):
        data = bytes.fromhex(v)
        return prefixed(self.width, data) if self.width else data

    def dec(self, c, path):
        count = c.number(self.width, path, 'length') if self.width else c.left()
        return c.take(count, path).hex()

    def gen(self, g):
        if self.samples is not None and (g.mode == 'random' or b'' not in self.samples):
            return g.r.choice(self.samples).hex()
        return g.bytes(2 ** (8 * self.width) - 1 if self.width else 40).hex()


class Node:
    def enc(self, v, x):
        assert len(v) == 2 * x.node
        return bytes.fromhex(v)

    def dec(self, c, path):
        return c.take(c.x.node, path).hex()

    def gen(self, g):
        return g.node_id().hex()


class List:
    """Items behind their length in bytes; width 0: all that is left; twice: RFC 7851's double
    length."""

    def __init__(self, width, item, least=0, twice=False):
        self.width, self.item, self.least, self.twice = width, item, least, twice

    def enc(self, v, x):
        data = b''.join(self.item.enc(one, x) for one in v)
        data = prefixed(self.width, data) if self.width else data
        return data[:4] + data if self.twice else data

    def dec(self, c, path):
        start, out = c.at, []
        if self.twice:
            ext_length = c.number(4, path + ('ext_length',), 'length')
        count = c.number(self.width, path, 'length') if self.width else c.left()
        if self.twice and c.left() >= count and count != ext_length:
            raise Reject('inner_length', start)

        def items(inner):
            while inner.left():
                out.append(self.item.dec(inner, path + (len(out),)))
        c.frame(count, items)
        return out

    def gen(self, g):
        return [self.item.gen(g) for _ in range(g.count(self.least))]


# ---- structures ------------------------------------------------------------------------------


def when(condition, name, kind):
    return ('when', condition, name, kind)


def need(condition, reason):
    return ('need', condition, reason)


def frame(width, *parts):
    """The parts stand behind their length."""
    return ('frame', width, parts)


class Struct:
    """Parts: (name, kind), or what when, need and frame give."""

    def __init__(self, *parts):
        self.parts = parts

    def enc(self, v, x):
        data = self.enc_parts(self.parts, v, x, taken := set())
        assert taken == set(v), (taken, v)
        return data

    def enc_parts(self, parts, v, x, taken):
        data = b''
        for part in parts:
            if part[0] == 'frame':
                data += prefixed(part[1], self.enc_parts(part[2], v, x, taken))
            elif part[0] != 'need':
                *test, name, kind = part[1:] if part[0] == 'when' else part
                if not test or test[0](v):
                    data += kind.enc(v[name], x)
                    taken.add(name)
        return data

    def dec(self, c, path):
        out = {}
        self.dec_parts(self.parts, c, path, out)
        return out

    def dec_parts(self, parts, c, path, out):
        last = c.at
        for part in parts:
            if part[0] == 'frame':
                count = c.number(part[1], path + ('length',), 'length')
                c.frame(count, lambda inner, p=part[2]: self.dec_parts(p, inner, path, out))
            elif part[0] == 'need':
                if not part[1](out):
                    raise Reject(part[2], last)
            else:
                *test, name, kind = part[1:] if part[0] == 'when' else part
                if not test or test[0](out):
                    last = c.at
                    out[name] = kind.dec(c, path + (name,))

    def gen(self, g):
        out = {}
        self.gen_parts(self.parts, g, out)
        return out

    def gen_parts(self, parts, g, out):
        for part in parts:
            if part[0] == 'frame':
                self.gen_parts(part[2], g, out)
            elif part[0] != 'need':
                *test, name, kind = part[1:] if part[0] == 'when' else part
                if not test or test[0](out):
                    out[name] = kind.gen(g)


class Address:
    """IpAddressPort (RFC 6940 6.3.1.1)."""
    BYTES = {1: 4, 2: 16}
    NAMES = {1: 'v4addr_port', 2: 'v6addr_port'}

    def enc(self, v, x):
        kind = v['type']
        if kind not in self.BYTES:
            return bytes([kind]) + prefixed(1, bytes.fromhex(v['unknown']))
        inner = v[self.NAMES[kind]]
        ip = ipaddress.ip_address(inner['addr']).packed
        assert len(ip) == self.BYTES[kind]
        return bytes([kind]) + prefixed(1, ip + inner['port'].to_bytes(2, 'big'))

    def dec(self, c, path):
        start, out = c.at, {}
        out['type'] = kind = c.number(1, path + ('type',), 'type')
        count = c.number(1, path + ('length',), 'length')

        def value(inner):
            if kind not in self.BYTES:
                out['unknown'] = inner.take(inner.left(), path + ('unknown',)).hex()
                return
            name = self.NAMES[kind]
            ip = inner.take(self.BYTES[kind], path + (name, 'addr'))
            out[name] = {'addr': str(ipaddress.ip_address(ip)),
                         'port': inner.number(2, path + (name, 'port'))}
        c.frame(count, value)
        if kind == 0:
            raise Reject('zero_type', start)
        return out

    def gen(self, g):
        kind = g.r.choice((1, 1, 2, 2, 3, 200)) if g.mode == 'random' else 1 + g.turn % 2
        if kind > 2:
            return {'type': kind, 'unknown': g.bytes(40).hex()}
        fill = {'min': bytes, 'max': lambda n: b'\xff' * n}.get(g.mode, g.r.randbytes)
        ip = fill(self.BYTES[kind])
        return {'type': kind, self.NAMES[kind]: {'addr': str(ipaddress.ip_address(ip)),
                                                 'port': g.number(16)}}


class Destination:
    """RFC 6940 6.3.2.2.  forms: what gen may give."""
    NAMES = {1: 'node_id', 2: 'resource_id', 3: 'opaque_id'}

    def __init__(self, forms=('node', 'resource', 'opaque', 'compact', 'unknown')):
        self.forms = forms

    def enc(self, v, x):
        if 'compact' in v:
            return bytes.fromhex(v['compact'])
        kind = v['type']
        value = bytes.fromhex(v[self.NAMES.get(kind, 'unknown')])
        assert kind != 1 or len(value) == x.node
        return bytes([kind]) + prefixed(1, prefixed(1, value) if kind in (2, 3) else value)

    def dec(self, c, path):
        start = c.at
        kind = c.number(1, path + ('type',), 'type')
        if kind & 0x80:
            c.number(1, path + ('compact',))
            return {'compact': c.data[start:start + 2].hex()}
        name = path + (self.NAMES.get(kind, 'unknown'),)
        count = c.length(1, path + ('length',))
        out = {'type': kind}
        if kind == 1 and count != c.x.node:
            raise Reject('node_length', start + 1)
        if kind == 0:
            raise Reject('zero_type', start)

        def inner(i):
            size = i.number(1, name, 'length') if kind in (2, 3) else count
            out[name[-1]] = i.take(size, name).hex()
        c.frame(count, inner)
        return out

    def gen(self, g):
        form = self.forms[(g.turn if g.mode != 'random' else g.r.randrange(99)) % len(self.forms)]
        g.uses_node = True
        if form == 'node':
            return {'type': 1, 'node_id': g.node_id().hex()}
        if form == 'resource':
            return {'type': 2, 'resource_id': (g.r.randbytes(16) if g.mode == 'random'
                                               else g.bytes(254)).hex()}
        if form == 'opaque':
            return {'type': 3, 'opaque_id': g.bytes(254).hex()}
        if form == 'compact':
            return {'compact': '%04x' % (0x8000 | g.number(15))}
        return {'type': g.r.choice((4, 127)), 'unknown': g.bytes(60).hex()}


class Identity:
    """SignerIdentity (RFC 6940 6.3.4)."""
    NAMES = {1: 'certificate_hash', 2: 'certificate_node_id_hash'}

    def enc(self, v, x):
        kind = v['identity_type']
        if kind in self.NAMES:
            value = bytes([v['hash_alg']]) + prefixed(1, bytes.fromhex(v[self.NAMES[kind]]))
        else:
            value = bytes.fromhex(v.get('unknown', ''))
        return bytes([kind]) + prefixed(2, value)

    def dec(self, c, path):
        start, out = c.at, {}
        out['identity_type'] = kind = c.number(1, path + ('identity_type',), 'type')
        count = c.number(2, path + ('length',), 'length')

        def value(i):
            if kind in self.NAMES:
                name = self.NAMES[kind]
                out['hash_alg'] = i.number(1, path + ('hash_alg',))
                out[name] = i.take(i.number(1, path + (name,), 'length'), path + (name,)).hex()
            elif kind != 3:
                out['unknown'] = i.take(i.left(), path + ('unknown',)).hex()
        c.frame(count, value)
        if kind == 0:
            raise Reject('zero_type', start)
        return out

    def gen(self, g):
        kind = g.choose((1, 2, 3, 4, 255))
        if kind == 3:
            return {'identity_type': 3}
        if kind > 3:
            return {'identity_type': kind, 'unknown': g.bytes(40).hex()}
        return {'identity_type': kind, 'hash_alg': g.r.choice((2, 4, 6)),
                self.NAMES[kind]: (g.r.randbytes(32) if g.mode == 'random'
                                   else g.bytes(255)).hex()}


class Option:
    """ForwardingOption (RFC 6940 6.3.2.3)."""

    def enc(self, v, x):
        return bytes([v['type'], v['flags']]) + prefixed(2, bytes.fromhex(v['option']))

    def dec(self, c, path):
        start = c.at
        out = {'type': c.number(1, path + ('type',), 'type'),
               'flags': c.number(1, path + ('flags',)),
               'option': Bytes(2).dec(c, path + ('option',))}
        if out['type'] == 0:
            raise Reject('zero_type', start)
        return out

    def gen(self, g):
        return {'type': g.choose((1, 2, 127, 255)), 'flags': g.choose((0, 1, 2, 4, 8, 7, 15)),
                'option': g.bytes(0xffff).hex()}


class Extension:
    """MessageExtension (RFC 6940 6.3.3)."""

    def enc(self, v, x):
        return (v['type'].to_bytes(2, 'big') + bytes([v['critical']]) +
                prefixed(4, bytes.fromhex(v['extension_contents'])))

    def dec(self, c, path):
        start = c.at
        out = {'type': c.number(2, path + ('type',), 'type'),
               'critical': Boolean().dec(c, path + ('critical',)),
               'extension_contents': Bytes(4).dec(c, path + ('extension_contents',))}
        if out['type'] == 0:
            raise Reject('zero_type', start)
        return out

    def gen(self, g):
        return {'type': g.choose((1, 2, 3, 0x100, 0xffff)), 'critical': Boolean().gen(g),
                'extension_contents': g.bytes(0xffff).hex()}


class Header:
    """ForwardingHeader (RFC 6940 6.3.2).  in_message: the length must be that of the message."""
    FIELDS = (('relo_token', 4, 8), ('overlay', 4, 8), ('configuration_sequence', 2, 0),
              ('version', 1, 0), ('ttl', 1, 0), ('fragment', 4, 8), ('length', 4, 0),
              ('transaction_id', 8, 16), ('max_response_length', 4, 0))
    LISTS = ('via_list', 'destination_list', 'options')
    VIA = Destination(('node', 'opaque', 'compact', 'unknown'))

    def __init__(self, in_message=False):
        self.in_message = in_message

    def enc(self, v, x):
        data = b''.join(Num(width).enc(v[name], x) for name, width, _ in self.FIELDS)
        lists = [b''.join((Option() if name == 'options' else Destination()).enc(one, x)
                          for one in v[name]) for name in self.LISTS]
        return data + b''.join(len(one).to_bytes(2, 'big') for one in lists) + b''.join(lists)

    def dec(self, c, path):
        start, whole = c.at, c.left()
        at = {}
        out = {}
        for name, width, digits in self.FIELDS:
            at[name] = c.at
            out[name] = Num(width, digits=digits).dec(c, path + (name,))
        sizes = [c.number(2, path + (name,), 'length') for name in self.LISTS]
        fragment = int(out['fragment'], 16)
        for wrong, name, reason in (
                (int(out['relo_token'], 16) != TOKEN, 'relo_token', 'token'),
                (out['version'] != VERSION, 'version', 'version'),
                (not fragment & FRAGMENT_ALWAYS, 'fragment', 'fragment_bit')):
            if wrong:
                raise Reject(reason, at[name])
        starts = []
        for size in sizes:
            starts.append(c.at)
            if c.left() < size:
                raise Reject('short', c.at)
            c.at += size
        if self.in_message:
            if c.x.overlay is not None and int(out['overlay'], 16) != c.x.overlay:
                raise Reject('overlay', at['overlay'])
            if out['length'] != whole:
                raise Reject('message_length', at['length'])
        checks = (self.check_via, self.check_destination, self.check_option)
        for name, size, begin, check in zip(self.LISTS, sizes, starts, checks):
            out[name] = []
            if name == 'destination_list' and size == 0:
                raise Reject('empty_list', begin)
            c.framed(begin, begin + size,
                     lambda i, o=out[name], p=path + (name,), k=check: self.walk(i, o, p, k))
        self.fragment, self.start = fragment, start
        return out

    def walk(self, c, out, path, check):
        while c.left():
            start = c.at
            one = (Option() if path[-1] == 'options' else Destination()).dec(c, path + (len(out),))
            check(one, start, c, out)
            out.append(one)

    def check_via(self, one, start, c, out):
        if one.get('type') == 2:
            raise Reject('via_resource', start)
        if len(out) == ENTRIES_MAX:
            raise Reject('too_many', start)

    def check_destination(self, one, start, c, out):
        if one.get('type') == 2 and c.left():
            raise Reject('resource_not_last', start)
        if len(out) == ENTRIES_MAX:
            raise Reject('too_many', start)

    def check_option(self, one, start, c, out):
        pass

    def gen(self, g):
        out = {name: Num(width, digits=digits).gen(g) for name, width, digits in self.FIELDS}
        out['relo_token'], out['version'] = '0x%08x' % TOKEN, VERSION
        out['fragment'] = '0x%08x' % (FRAGMENT_ALWAYS | int(out['fragment'], 16))
        out['via_list'] = [self.VIA.gen(g) for _ in range(g.count(0))]
        out['destination_list'] = [self.VIA.gen(g) for _ in range(g.count(0))] + \
            [Destination().gen(g)]
        out['options'] = [Option().gen(g) for _ in range(g.count(0))]
        return out


class Frame:
    """FramedMessage (RFC 6940 6.6.2)."""
    DATA = Struct(('type', Num(1)), ('sequence', Num(4)), ('message', Bytes(3)))
    ACK = Struct(('type', Num(1)), ('ack_sequence', Num(4)), ('received', Num(4)))

    def enc(self, v, x):
        return (self.DATA if v['type'] == 0x80 else self.ACK).enc(v, x)

    def dec(self, c, path):
        if c.left() and c.data[c.at] not in (0x80, 0x81):
            raise Reject('frame_type', c.at)
        is_data = c.left() == 0 or c.data[c.at] == 0x80
        return (self.DATA if is_data else self.ACK).dec(c, path)

    def gen(self, g):
        kind = 0x80 + g.turn % 2
        return dict((self.ACK if g.turn % 2 else self.DATA).gen(g), type=kind)


# ---- what depends on the data model of a Kind ------------------------------------------------


class Placed:
    """DataValue or MetaData; around it the index or key of its place."""

    def __init__(self, model, inner):
        self.model, self.inner = model, inner
        self.whole = {ARRAY: Struct(('index', Num(4)), ('value', inner)),
                      DICTIONARY: Struct(('key', Bytes(2)), ('value', inner))}

    def kind(self, x):
        return self.whole.get(self.model or x.model, self.inner)

    def enc(self, v, x):
        return self.kind(x).enc(v, x)

    def dec(self, c, path):
        return self.kind(c.x).dec(c, path)

    def gen(self, g):
        return self.whole.get(self.model or g.model, self.inner).gen(g)


class Modelled:
    """`kind` decoded as one of data model `model`."""

    def __init__(self, kind, model):
        self.kind, self.model = kind, model

    def with_model(self, x, run):
        old, x.model = x.model, self.model
        try:
            return run()
        finally:
            x.model = old

    def enc(self, v, x):
        return self.with_model(x, lambda: self.kind.enc(v, x))

    def dec(self, c, path):
        return self.with_model(c.x, lambda: self.kind.dec(c, path))


class Block:
    """StoreKindData and its like: the values are looked into when the structure around is whole."""

    def __init__(self, generation, item):
        self.generation, self.item = generation, item
        self.front = Struct(('kind', Num(4)), (generation, Num(8, digits=16)))

    def enc(self, v, x):
        front = self.front.enc({k: v[k] for k in ('kind', self.generation)}, x)
        model = x.kinds.get(v['kind'])
        if model is None:
            return front + prefixed(4, bytes.fromhex(v['unknown']))
        return front + List(4, Modelled(self.item, model)).enc(v['values'], x)

    def dec(self, c, path):
        out = self.front.dec(c, path)
        model = c.x.kinds.get(out['kind'])
        if model is None:
            out['unknown'] = Bytes(4).dec(c, path + ('unknown',))
            return out
        count = c.length(4, path + ('values',))
        start, c.at = c.at, c.at + count
        out['values'] = []
        item = Modelled(self.item, model)

        def values(inner):
            while inner.left():
                here = path + ('values', len(out['values']))
                out['values'].append(item.dec(inner, here))
        c.later.append(lambda: c.framed(start, start + count, values))
        return out

    def gen(self, g):
        kind = g.choose((2, 3, 1, 0xf0000001))
        out = dict(self.front.gen(g), kind=kind)
        if kind not in g.kinds:
            return dict(out, unknown=g.bytes(100).hex())
        g.model = g.kinds[kind]
        return dict(out, values=[self.item.gen(g) for _ in range(g.count(0))])


class Specifier:
    """StoredDataSpecifier (RFC 6940 7.4.2.1)."""
    FRONT = Struct(('kind', Num(4)), ('generation', Num(8, digits=16)))
    ITEMS = {ARRAY: ('indices', List(2, Struct(('first', Num(4)), ('last', Num(4))))),
             DICTIONARY: ('keys', List(2, Bytes(2)))}

    def enc(self, v, x):
        front = self.FRONT.enc({k: v[k] for k in ('kind', 'generation')}, x)
        model = x.kinds.get(v['kind'])
        if model is None:
            return front + prefixed(2, bytes.fromhex(v['unknown']))
        if model == SINGLE:
            return front + bytes(2)
        name, kind = self.ITEMS[model]
        return front + prefixed(2, kind.enc(v[name], x))

    def dec(self, c, path):
        out = self.FRONT.dec(c, path)
        model = c.x.kinds.get(out['kind'])
        if model is None:
            out['unknown'] = Bytes(2).dec(c, path + ('unknown',))
            return out
        count = c.length(2, path + ('length',))
        start, c.at = c.at, c.at + count
        if model == SINGLE:
            c.later.append(lambda: c.framed(start, start + count, lambda inner: None))
            return out
        name, kind = self.ITEMS[model]
        out[name] = []

        def items(inner):
            size = int.from_bytes(inner.data[inner.at:inner.at + 2], 'big')
            if inner.left() >= 2 and size < inner.left() - 2:
                raise Reject('inner_length', inner.at + 2)  # the list ends before its frame
            out[name].extend(kind.dec(inner, path + (name,)))
        c.later.append(lambda: c.framed(start, start + count, items))
        return out

    def gen(self, g):
        kind = g.choose((2, 3, 1, 0xf0000001))
        out = dict(self.FRONT.gen(g), kind=kind)
        model = g.kinds.get(kind)
        if model is None:
            return dict(out, unknown=g.bytes(100).hex())
        if model == SINGLE:
            return out
        name, items = self.ITEMS[model]
        return dict(out, **{name: items.gen(g)})


class Nodes:
    """A list of Node-IDs that is told by its length (StoreKindResponse)."""

    def enc(self, v, x):
        return List(2, Node()).enc(v, x)

    def dec(self, c, path):
        count = c.length(2, path)
        if count % c.x.node:
            raise Reject('node_list', c.at + count - count % c.x.node)
        out = []

        def nodes(inner):
            while inner.left():
                out.append(Node().dec(inner, path + (len(out),)))
        c.frame(count, nodes)
        return out

    def gen(self, g):
        g.uses_node = True
        return List(2, Node()).gen(g)
