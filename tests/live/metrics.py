#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Metrics and health over HTTP (metrics-listen): text that two parsers agree on, numbers that are
those of `ctl`, honest health, slow and garbage clients; and the files of contrib/ for Prometheus
and Grafana, which may name nothing that a node does not say."""
import json
import os
import re
import shutil
import socket
import subprocess
import time

import openmetrics
from live import CHORDIAL, FULL, HERE, Folder, check, chordial, free_ports, patience, run, wait_for
from phone import Phone
from transports import NAME, One

CONTRIB = os.path.join(HERE, '..', '..', 'contrib')
LIFE_S = 10
CONNECTIONS = 16


def get(port, path, method='GET', seconds=20):
    """Status, headers and body; whatever it is, the connection is closed behind it."""
    with socket.create_connection(('127.0.0.1', port), seconds) as s:
        s.sendall(f'{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
        data = drain(s, seconds)
    return split(data)


def drain(s, seconds):
    s.settimeout(seconds)
    data = b''
    try:
        while part := s.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def split(data):
    head, _, body = data.partition(b'\r\n\r\n')
    lines = head.decode('ascii').split('\r\n')
    headers = dict(line.lower().split(': ', 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body.decode('ascii')


def scrape(port):
    status, headers, text = get(port, '/metrics')
    check(status == 200, f'{status}: {text[:200]}')
    check(headers['content-type'] ==
          'application/openmetrics-text; version=1.0.0; charset=utf-8', f'{headers}')
    check(int(headers['content-length']) == len(text), f'{headers}')
    return openmetrics.parse(text), text


def value(families, name, **labels):
    found = [v for have, v in openmetrics.samples(families).get(name, []) if have == labels]
    check(len(found) == 1, f'{name}{labels}: {found}')
    return found[0]


class Watched(One):
    """One node that is watched."""

    def __init__(self, folder, shards=1, extra=''):
        self.port = free_ports(1, 29100, 29900)
        super().__init__(folder, shards, f'metrics-listen = "127.0.0.1:{self.port}"\n{extra}')


def test_two_parsers_and_ctl_agree():
    with Folder() as folder, Watched(folder, shards=2) as node:
        phones = [Phone(a, NAME, f'127.0.0.1:{node.ports["UDP"]}') for a in node.accounts[:2]]
        check([p.register() for p in phones] == [200, 200], 'they register')
        check(phones[0].call(phones[1].aor)[0] == 200, 'a call')
        for phone in phones:
            phone.close()
        families, text = scrape(node.port)
        count = sum(len(f.samples) for f in families.values())
        check(400 < count < 2000 and len(text) < 192 * 1024, f'{count} series, {len(text)} bytes')
        judged = openmetrics.judge(text)
        check(judged in (None, count), f'{judged} of {count}')
        told = json.loads(chordial(folder, 'ctl', '-s', 's', 'metrics', '--json'))
        missing = [name for name in told if not says(families, name)]
        check(not missing, f'not in /metrics: {missing}')
        for name in 'sip_calls_answered', 'sip_registers_ok', 'links_authenticated':
            suffix = '' if families[f'chordial_{name}'].type == 'gauge' else '_total'
            check(value(families, f'chordial_{name}{suffix}') == told[name], name)
        check(value(families, 'chordial_sip_calls_answered_total') == 1, 'one call')
        check(value(families, 'chordial_sip_post_dial_seconds_count') >= 1, 'one post-dial delay')
        check(value(families, 'chordial_turn_seconds_count') > 10, 'turns')
        check(value(families, 'chordial_peers') == value(families, 'chordial_peers_joined') == 2,
              'peers')
        rows = json.loads(chordial(folder, 'ctl', '-s', 's', 'histograms', '--json'))['histograms']
        for row in rows:
            name = f'chordial_{row["name"][:-3]}_seconds_count'
            check(row['count'] >= value(families, name), f'{row}')
            marks = [row[k] for k in ('p50_us', 'p90_us', 'p99_us', 'p999_us', 'max_us')]
            check(row['count'] == 0 or marks == sorted(marks), f'{row}')
        print(f'  {count} series, {len(text)} bytes, judge: {judged}')


def says(families, name):
    layer, is_drop, reason = name.partition('_drop_')
    if is_drop:
        return any(labels == {'layer': layer, 'reason': reason}
                   for _, labels, _ in families['chordial_drops'].samples)
    return 'chordial_' + re.sub('_us$', '_seconds', name) in families


def test_expiry_and_process():
    with Folder() as folder, Watched(folder) as node:
        families, _ = scrape(node.port)
        now = time.time()
        ends = {of: value(families, 'chordial_expiry_timestamp_seconds', of=of) - now
                for of in ('peer', 'account', 'sip_tls', 'overlay_document')}
        day = 86400
        check(364 * day < ends['peer'] < 366 * day, f'{ends}')
        check(364 * day < ends['account'] < 366 * day, f'{ends}')
        check(29 * day < ends['sip_tls'] < 31 * day, f'{ends}')
        check(3649 * day < ends['overlay_document'] < 3651 * day, f'{ends}')
        with open(f'/proc/{node.process.pid}/status', encoding='ascii') as f:
            rss = next(int(line.split()[1]) for line in f if line.startswith('VmRSS')) * 1024
        said = value(families, 'process_resident_memory_bytes')
        check(0.8 * rss < said < 1.2 * rss, f'{said}, {rss}')
        check(value(families, 'process_cpu_seconds_total') > 0, 'processor time')
        check(abs(value(families, 'process_start_time_seconds') - now) < 60, 'start')
        check(said < value(families, 'chordial_memory_budget_bytes'), 'budget')
        check(value(families, 'chordial_reload_failed') == 0, 'reload')
        os.rename(os.path.join(folder, 'tls.crt'), os.path.join(folder, 'gone.crt'))
        chordial(folder, 'ctl', '-s', 's', 'reload', status=1)
        families, _ = scrape(node.port)
        check(value(families, 'chordial_reload_failed') == 1, 'a reload that failed')


def test_health():
    with Folder() as folder, Watched(folder) as node:
        for path in '/livez', '/readyz':
            status, _, text = get(node.port, path)
            check((status, text) == (200, 'ok\n'), f'{path}: {status} {text}')
        check(chordial(folder, 'ctl', '-s', 's', 'health') == 'ready\n', 'ctl health')

        def is_checked():
            families, _ = scrape(node.port)
            return value(families, 'chordial_selfcheck_success_timestamp_seconds') > 0
        wait_for('the node finds itself', 40, is_checked, every=1)
    with Folder() as folder:  # nobody is there to be joined
        node = Watched(folder)
        with open(os.path.join(folder, 'n.conf'), 'a', encoding='ascii') as f:
            f.write('found-ring = no\nbootstrap = {"127.0.0.1:9"}\n')
        with open(node.log, 'w', encoding='utf-8') as log:
            process = subprocess.Popen([os.path.abspath(CHORDIAL), 'run', '-c', 'n.conf'],
                                       cwd=folder, stderr=log)
        try:
            wait_for('it listens', 20, lambda: f':{node.port}/metrics' in node.text())
            status, _, text = get(node.port, '/readyz')
            check(status == 503 and text == 'no: 0 of 1 peers have joined the overlay\n',
                  f'{status} {text}')
            check(get(node.port, '/livez')[0] == 200, 'it lives')
            said = subprocess.run([os.path.abspath(CHORDIAL), 'ctl', '-s', 's', 'health'],
                                  cwd=folder, capture_output=True, text=True, timeout=20)
            check(said.returncode == 1 and 'not ready: 0 of 1' in said.stdout, f'{said}')
            families, _ = scrape(node.port)
            check(value(families, 'chordial_ready') == 0, 'ready')
            check(value(families, 'chordial_live') == 1, 'live')
        finally:
            process.terminate()
            process.wait(30)


def test_only_what_it_is_for():
    with Folder() as folder, Watched(folder) as node:
        for method in 'POST', 'PUT', 'DELETE', 'OPTIONS', 'BREW':
            status, headers, _ = get(node.port, '/metrics', method)
            check(status == 405 and headers['allow'] == 'get', f'{method}: {status} {headers}')
        for path in '/', '/metrics/', '/metricsx', '/../metrics', '/%2e':
            check(get(node.port, path)[0] == 404, path)
        check(get(node.port, '/metrics?x=y')[0] == 200, 'a query')
        for said in (b'\x16\x03\x01\x02\x00\x01\x00', b'\x00' * 3000, b'GET\r\n\r\n',
                     b'GET /metrics HTTP/9.9\r\n\r\n', b'\xff' * 100 + b'\r\n\r\n',
                     b'GET ' + b'/' * 9000 + b' HTTP/1.1\r\n\r\n',
                     b'GET / HTTP/1.1\r\n' + b'a: b\r\n' * 3000 + b'\r\n',
                     b'GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n',
                     b'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n'):
            with socket.create_connection(('127.0.0.1', node.port), 20) as s:
                s.sendall(said)
                answer = drain(s, (LIFE_S + 10) * patience())
            check(not answer or 400 <= split(answer)[0] <= 505, f'{said[:40]}: {answer[:80]}')
        check(get(node.port, '/livez')[0] == 200, 'it lives')


def dribble(sockets, seconds, port):
    """All send a byte now and then, and never a request; until somebody else is answered."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        for s in sockets:
            try:
                s.sendall(b'G')
            except OSError:
                pass
        try:
            if get(port, '/livez', seconds=2)[0] == 200:
                return time.monotonic() - begin
        except (OSError, IndexError):
            pass
    raise AssertionError('nobody else is answered')


def test_slow_clients_hold_nothing_for_long():
    """More connections than there may be, from one address; none is kept longer than LIFE_S."""
    with Folder() as folder, Watched(folder) as node:
        before = len(os.listdir(f'/proc/{node.process.pid}/fd'))
        sockets = [socket.create_connection(('127.0.0.1', node.port), 5)
                   for _ in range(CONNECTIONS + 8)]
        held = []

        def count():
            held.append(len(os.listdir(f'/proc/{node.process.pid}/fd')) - before)
            return 0 < held[-1] <= CONNECTIONS
        wait_for('no more than may be are held', 5, count)
        took = dribble(sockets, 4 * LIFE_S * patience(), node.port)
        for s in sockets:
            s.close()
        wait_for('all are gone', 30,
                 lambda: len(os.listdir(f'/proc/{node.process.pid}/fd')) <= before, every=0.5)
        print(f'  {max(held)} held, others waited {took:.1f} s')


def occupy(sockets, addresses, port):
    """As many silent connections from each address as would be all; those that ended anew."""
    for key in [(a, i) for a in addresses for i in range(CONNECTIONS)]:
        try:
            if key in sockets and sockets[key].recv(1, socket.MSG_DONTWAIT):
                continue
        except BlockingIOError:
            continue
        except OSError:
            pass
        if key in sockets:
            sockets.pop(key).close()
        s = socket.socket()
        try:
            s.bind((key[0], 0))
            s.settimeout(1)
            s.connect(('127.0.0.1', port))
            sockets[key] = s
        except OSError:
            s.close()


def test_silent_clients_keep_nobody_out():
    """A few connections a second, from the prober's own address or from others, must not make a
    liveness probe fail (found by attack: a node that is well would be restarted)."""
    for addresses in ['127.0.0.1'], [f'127.0.0.{i}' for i in range(2, 6)]:
        with Folder() as folder, Watched(folder) as node:
            sockets, longest = {}, 0
            for _ in range(20):
                occupy(sockets, addresses, node.port)
                begin = time.monotonic()
                check(get(node.port, '/livez', seconds=3 * patience())[0] == 200, f'{addresses}')
                check(get(node.port, '/metrics', seconds=3 * patience())[0] == 200, f'{addresses}')
                longest = max(longest, time.monotonic() - begin)
                time.sleep(0.1)
            check(len(sockets) >= CONNECTIONS // 2, f'{len(sockets)} held')
            for s in sockets.values():
                s.close()
            print(f'  {len(addresses)} addresses: {len(sockets)} sockets, at most {longest:.3f} s')


def test_scrapes_hold_nothing():
    """Memory stays where it is."""
    times = 20000 if FULL else 600
    with Folder() as folder, Watched(folder) as node:
        def rss():
            return value(scrape(node.port)[0], 'process_resident_memory_bytes')
        for _ in range(100):
            get(node.port, '/metrics')
        before = rss()
        begin = time.monotonic()
        for _ in range(times):
            get(node.port, '/metrics')
        each_ms = (time.monotonic() - begin) / times * 1000
        more = rss() - before
        check(more < 1024 * 1024, f'{more} bytes more after {times} scrapes')
        print(f'  {each_ms:.1f} ms a scrape, {more / 1024:.0f} KiB more after {times}')


def test_off_by_default_and_refused():
    with Folder() as folder, One(folder) as node:
        check('metrics:' not in node.text(), node.text())
        with open(f'/proc/{node.process.pid}/net/tcp', encoding='ascii') as f:
            check(':24F8 ' not in f.read(), 'it listens on 9464')
        with open(os.path.join(folder, 'n.conf'), encoding='ascii') as f:
            text = f.read()
        for wrong in 'localhost', '127.0.0.1:0', '127.0.0.1:99999', '9464':
            with open(os.path.join(folder, 'w.conf'), 'w', encoding='ascii') as f:
                f.write(text + f'metrics-listen = "{wrong}"\n')
            said = chordial(folder, 'check', '-c', 'w.conf', status=2)
            check('metrics-listen' in said and '127.0.0.1:9464' in said, said)
    with Folder() as folder, Watched(folder) as node:
        pass
    with socket.create_server(('127.0.0.1', node.port)):
        pass  # nobody listens there any more
    with Folder() as folder:
        node = Watched(folder)
        with socket.create_server(('127.0.0.1', node.port)):
            for word, status in ('check', 2), ('run', 1):
                said = chordial(folder, word, '-c', 'n.conf', status=status)
                check(f'127.0.0.1:{node.port}' in said and 'listen' in said, said)


def trace(folder, *words):
    return json.loads(chordial(folder, 'ctl', '-s', 's', 'trace', '--json', *words))['events']


def test_trace():
    """More events than fit one answer of a shard, the newest first and each once; by name too."""
    with Folder() as folder, Watched(folder) as node:
        phones = [Phone(a, NAME, f'127.0.0.1:{node.ports["UDP"]}') for a in node.accounts[:2]]
        check([p.register() for p in phones] == [200, 200], 'they register')
        for _ in range(60):
            check(phones[0].call(phones[1].aor, talk=0)[0] == 200, 'a call')
        for phone in phones:
            phone.close()
        events = trace(folder)
        names = {e['event'] for e in events}
        check({'sip_transaction', 'request_begun', 'request_answered'} <= names, f'{names}')
        check(200 < len(events) <= 1024, f'{len(events)} events')
        ago = [e['ago_us'] for e in events]
        check(all(b >= a - 1000000 for a, b in zip(ago, ago[1:])), 'not the newest first')
        begun = trace(folder, '--event', 'request_begun')
        check(begun and {e['event'] for e in begun} == {'request_begun'}, f'{begun}')
        ids = [e['a'] for e in begun]
        check(len(set(ids)) == len(ids), f'told twice: {ids}')
        answered = {e['a'] for e in trace(folder, '--event', 'request_answered')}
        check(answered & set(ids), 'no request and its answer')
        check('overlay_ready' in names or len(events) == 1024, 'the beginning')
        said = chordial(folder, 'ctl', '-s', 's', 'trace', '--event', 'no_such', status=1)
        check('no_such: ' in said and 'no such event' in said and 'link_state' in said, said)
        said = chordial(folder, 'ctl', '-s', 's', '--event', 'x', 'status', status=2)
        check('--event is for trace' in said, said)


# ---- contrib/

def uses(expression):
    """(metric, {label: regular expression or value}) of a PromQL expression."""
    bare = re.sub(r'"[^"]*"', lambda m: m[0].replace('{', '<').replace('}', '>'), expression)
    for found in re.finditer(r'\b((?:chordial|process)_[a-z0-9_]+)(?:\{([^}]*)\})?', bare):
        labels = dict(re.findall(r'([a-z_]+)=~?"([^"]*)"', found[2] or ''))
        labels.pop('instance', None)
        yield found[1], labels


def check_uses(where, expression, known):
    found = list(uses(expression))
    check(found, f'{where}: no metric: {expression}')
    for name, labels in found:
        check(name in known, f'{where}: no such metric: {name}')
        for label, values in labels.items():
            have = {sample[label] for sample, _ in known[name] if label in sample}
            for one in values.split('|'):
                check(one in have, f'{where}: {name}: no {label} {one}: {sorted(have)}')


def test_contrib_names_what_exists():
    with Folder() as folder, Watched(folder) as node:
        known = openmetrics.samples(scrape(node.port)[0])
    with open(os.path.join(CONTRIB, 'prometheus', 'alerts.yml'), encoding='utf-8') as f:
        rules = re.findall(r'alert: (\w+)\n\s+expr: (.+)\n', f.read())
    check(len(rules) >= 10 and len({name for name, _ in rules}) == len(rules), f'{rules}')
    for name, expression in rules:
        check_uses(name, expression, known)
    with open(os.path.join(CONTRIB, 'grafana', 'chordial.json'), encoding='utf-8') as f:
        board = json.load(f)
    panels = board['panels']
    check(len({p['id'] for p in panels}) == len(panels) > 15, 'panels')
    for panel in panels:
        for target in panel['targets']:
            check_uses(panel['title'], target['expr'], known)
    places = {(p['gridPos']['x'], p['gridPos']['y']) for p in panels}
    check(len(places) == len(panels), 'panels on top of each other')
    try:
        check_uses('itself', 'rate(chordial_no_such_total[5m])', known)
    except Exception as e:
        check('no such metric' in str(e), f'{e}')
    else:
        check(False, 'a name that does not exist was accepted')
    if shutil.which('promtool'):
        done = subprocess.run(['promtool', 'check', 'rules',
                               os.path.join(CONTRIB, 'prometheus', 'alerts.yml')],
                              capture_output=True, text=True, timeout=30)
        check(done.returncode == 0, done.stdout + done.stderr)


if __name__ == '__main__':
    run([test_two_parsers_and_ctl_agree, test_expiry_and_process, test_health,
         test_only_what_it_is_for, test_slow_clients_hold_nothing_for_long,
         test_silent_clients_keep_nobody_out, test_scrapes_hold_nothing,
         test_off_by_default_and_refused, test_trace, test_contrib_names_what_exists])
