#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`chordial load` against real nodes: every kind, sums that agree, dead and frozen servers."""
import json
import os
import resource
import signal
import subprocess
import time
from math import ceil

from live import CHORDIAL, Demo, Folder, check, patience, run, wait_for
from transports import One

KEYS = {'kind', 'target', 'source', 'transport', 'arrivals', 'connections', 'elapsed_s',
        'offered_per_s', 'done_per_s', 'due', 'unsent', 'begun', 'done', 'failed', 'outstanding',
        'errors', 'latency_us', 'server_cpu_ns_per_op', 'server_cpu_share', 'generator_cpu_share',
        'generator_limited', 'generator_limited_why', 'behind_us', 'interrupted'}
LATENCIES = ['p50', 'p90', 'p99', 'p999', 'max']
RATES = {'forward': 2000, 'fetch': 100, 'store': 50, 'register': 50, 'options': 500, 'invite': 50}


def command(demo, *words):
    """A demo's line comes on stdin."""
    return [CHORDIAL, 'load', '--demo', '-', *map(str, words)]


def start(demo, *words):
    process = subprocess.Popen(command(demo, *words), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write(json.dumps(demo.info))
    process.stdin.close()
    process.stdin = None
    return process


def finish(process, seconds=60, status=0):
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        check(False, f'load did not end within {seconds} s')
    check(process.returncode == status, f'exit {process.returncode}: {errors}{out}')
    return json.loads(out) if out.startswith('{') else out + errors


def load(demo, kind, *words, **options):
    result = finish(start(demo, '--kind', kind, '--json', *words), **options)
    check_sums(result)
    return result


def check_tally(tally):
    check(tally['begun'] == tally['done'] + tally['failed'] + tally['outstanding'], f'{tally}')
    check(sum(tally['errors'].values()) == tally['failed'], f'errors: {tally}')
    if tally['done'] > 0:
        values = [tally['latency_us'][name] for name in LATENCIES]
        check(values == sorted(values) and values[0] > 0, f'latencies: {values}')


def check_sums(result):
    missing = (KEYS | ({'kinds'} if result['kind'] == 'mixed' else set())) ^ set(result)
    check(not missing, f'keys: {missing}')
    check_tally(result)
    check(result['due'] == result['begun'] + result['unsent'], f'{result}')
    check(result['generator_limited'] == bool(result['generator_limited_why']), f'{result}')


def check_offered(result, what):
    """It goes on offering, whatever becomes of it.  Where others have the processor the last
    moments are due and not begun any more; then it says itself that it was behind."""
    unsent = result['unsent']
    check(unsent == 0 or (result['generator_limited'] and unsent < 0.02 * result['due']),
          f'{what}: {result}')


def test_each_kind():
    with Demo(peers=2) as demo:
        for kind, rate in RATES.items():
            result = load(demo, kind, '--rate', rate, '--seconds', 1, '--connections', 2)
            check(result['done'] >= 0.8 * result['begun'] > 0, f'{kind}: {result}')
            check(result['outstanding'] == 0, f'{kind}: {result}')
            check(0.5 * rate < result['offered_per_s'] < 1.5 * rate, f'{kind}: {result}')
            check(result['server_cpu_ns_per_op'] > 1000, f'{kind}: {result}')
            print(f'  {kind}: {result["done"]} done, p50 {result["latency_us"]["p50"]:.0f} us, '
                  f'errors {result["errors"]}')


def test_the_node_agrees():
    """What was counted here, the node has counted too."""
    with Demo(peers=1) as demo:
        before = demo.metrics(0)
        forward = load(demo, 'forward', '--rate', 5000, '--seconds', 1)
        invite = load(demo, 'invite', '--rate', 20, '--seconds', 1, '--connections', 3)
        after = demo.metrics(0)
        moved = metric(after, 'dht_forwarded') - metric(before, 'dht_forwarded')
        check(forward['done'] <= moved, f'{forward} but the node forwarded {moved}')
        check(moved <= forward['begun'] + 50, f'{forward} but the node forwarded {moved}')
        check(invite['done'] > 0 and invite['failed'] == 0, f'{invite}')
        left = sum(len(demo.ctl(0, 'bindings')['bindings']) for _ in range(1))
        check(left == 0, f'{left} phones are still registered')


def metric(answer, name):
    """Wherever the answer has it; summed over shards."""
    if isinstance(answer, dict):
        if isinstance(answer.get(name), int):
            return answer[name]
        return sum(metric(part, name) for part in answer.values())
    if isinstance(answer, list):
        return sum(metric(part, name) for part in answer)
    return 0


def test_mixed_and_max():
    with Demo(peers=1) as demo:
        mixed = load(demo, 'mixed', '--rate', 200, '--seconds', 2, '--connections', 4)
        check(set(mixed['kinds']) == {'fetch', 'store', 'register', 'options', 'invite'},
              f'{mixed}')
        for name, tally in mixed['kinds'].items():
            check_tally(tally)
            check(tally['done'] > 0, f'{name}: {tally}')
        for key in 'begun', 'done', 'failed':
            check(sum(t[key] for t in mixed['kinds'].values()) == mixed[key], f'{key}: {mixed}')
        for kind in 'forward', 'options':
            closed = load(demo, kind, '--rate', 'max', '--seconds', 1, '--connections', 2)
            check(closed['arrivals'] == 'closed' and closed['unsent'] == 0, f'{closed}')
            check(closed['done_per_s'] > 500, f'{closed}')


def test_warm_and_awake():
    """What came before is not counted, and who looks without sleeping is not therefore busy."""
    with Demo(peers=1) as demo:
        before = metric(demo.metrics(0), 'sip_requests_in')
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        warm = load(demo, 'options', '--rate', 200, '--seconds', 1, '--warm', 2, '--awake')
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        asked = metric(demo.metrics(0), 'sip_requests_in') - before
        check(100 < warm['due'] < 300, f'{warm}')
        check(warm['elapsed_s'] < 2, f'{warm}')
        check(asked > 1.8 * warm['begun'], f'the node was asked {asked} times: {warm}')
        ran = after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime
        check(ran > 0.6, f'it slept: ran {ran} s of 3')
        check(warm['generator_cpu_share'] < 0.5, f'{warm}')
        refused = finish(start(demo, '--kind', 'forward', '--warm', 1), status=2)
        check('--warm' in refused, refused)


def test_in_turn():
    """A slice for each line, and silence between them: nothing of it is under way any more."""
    with Demo(peers=1) as demo, Folder() as folder:
        path = os.path.join(folder, 'demo.json')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(json.dumps(demo.info) + '\n')
        process = subprocess.Popen(
            [CHORDIAL, 'load', '--demo', path, '--kind', 'options', '--rate', 'max',
             '--outstanding', '8', '--in-turn', '--json'], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        first = process.stdout.readline()
        check(first == '{"ready": true}\n', f'{first or process.communicate()}')
        done = 0
        for ms in 50, 200:
            process.stdin.write(f'{ms}\n')
            process.stdin.flush()
            said = json.loads(process.stdout.readline())
            check(said['done'] > 0 and said['failed'] == 0, f'{said}')
            done += said['done']
            asked = metric(demo.metrics(0), 'sip_requests_in')
            time.sleep(0.1)
            check(metric(demo.metrics(0), 'sip_requests_in') == asked, 'it goes on')
        out, errors = process.communicate(timeout=60)
        check(process.returncode == 0, f'{errors}')
        result = json.loads(out)
        check_sums(result)
        check((result['done'], result['outstanding']) == (done, 0), f'{done} done: {result}')
        check(result['elapsed_s'] >= 0.25, f'{result}')


def wait_for_load(demo, name, count):
    """Until the node has done so much more."""
    before = metric(demo.metrics(0), name)
    wait_for(f'{count} of {name}', 20, lambda: metric(demo.metrics(0), name) >= before + count,
             every=0.02)


def test_a_frozen_server_shows():
    """Operations go on being due while it sleeps, and are charged for it."""
    with Demo(peers=1) as demo:
        process = start(demo, '--kind', 'options', '--rate', 100, '--seconds', 3, '--json',
                        '--timeout-ms', 5000)
        wait_for_load(demo, 'sip_requests_in', 50)
        demo.kill(0, signal.SIGSTOP)
        time.sleep(1)
        demo.kill(0, signal.SIGCONT)
        result = finish(process)
        check_sums(result)
        latency = result['latency_us']
        check(latency['max'] > 900e3, f'{latency}')
        check(latency['p99'] > 800e3 and latency['p90'] > 300e3, f'{latency}')
        check(latency['p50'] < 200e3, f'{latency}')
        check(result['begun'] > 250, f'{result}')


def test_a_dead_server_counts():
    for kind, name in (('options', 'sip_requests_in'), ('forward', 'dht_forwarded'),
                       ('fetch', 'fetches_answered')):
        with Demo(peers=1) as demo:
            seconds = ceil(3 * patience())  # where others have the processor the kill is late
            process = start(demo, '--kind', kind, '--rate', 200, '--seconds', seconds, '--json',
                            '--timeout-ms', 500)
            wait_for_load(demo, name, 50)
            demo.kill(0)
            began = time.monotonic()
            result = finish(process)
            check_sums(result)
            check(time.monotonic() - began < seconds + 2 * patience(), 'it waits for the dead')
            check(result['done'] > 0, f'{kind}: {result}')
            check(result['failed'] > 100, f'{kind}: {result}')
            check_offered(result, kind)
            print(f'  {kind}: {result["done"]} done, unsent {result["unsent"]}, '
                  f'errors {result["errors"]}')


def test_interrupted():
    with Demo(peers=1) as demo:
        process = start(demo, '--kind', 'options', '--rate', 200, '--seconds', 60, '--json')
        wait_for_load(demo, 'sip_requests_in', 100)
        process.send_signal(signal.SIGINT)
        result = finish(process)
        check_sums(result)
        check(result['interrupted'] and result['done'] > 50, f'{result}')


def test_says_when_it_is_the_limit():
    with Demo(peers=1) as demo:
        result = load(demo, 'options', '--rate', 5000000, '--seconds', 1, '--timeout-ms', 300,
                      '--outstanding', 1000)
        check(result['generator_limited'], f'{result}')
        check(result['unsent'] > 0, f'{result}')
        table = finish(start(demo, '--kind', 'options', '--rate', 5000000, '--seconds', 1,
                             '--timeout-ms', 300, '--outstanding', 1000))
        check('IT WAS THE BOTTLENECK' in table, table)


def test_without_a_demo():
    with Demo(peers=1) as demo:
        words = ['--sip', demo.peers[0]['sip'], '--rate', '50', '--seconds', '1', '--json']
        for account in demo.accounts[:2]:
            words += ['--account', f'{account["user"]}:{account["password"]}']
        done = subprocess.run([CHORDIAL, 'load', '--kind', 'mixed', *words], capture_output=True,
                              text=True, timeout=60)
        check(done.returncode == 0, done.stderr)
        result = json.loads(done.stdout)
        check(set(result['kinds']) == {'register', 'options', 'invite'}, done.stdout)
        check(result['server_cpu_ns_per_op'] is None, done.stdout)
        words = ['--overlay', demo.peers[0]['nodes'][0]['overlay'], '--ca', demo.info['ca'],
                 '--server-pid', str(demo.peers[0]['pid']), '--rate', '50', '--seconds', '1']
        done = subprocess.run([CHORDIAL, 'load', '--kind', 'fetch', '--json', '--key', 'p256',
                               *words], capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, done.stderr)
        result = json.loads(done.stdout)
        check(result['done'] > 0 and result['server_cpu_ns_per_op'] > 0, done.stdout)


def load_one(node, kind, transport, *words, status=0):
    """A node that `chordial run` runs, whose TLS port no demo tells."""
    argv = [CHORDIAL, 'load', '--kind', kind, '--transport', transport, '--json', '--sip',
            f'127.0.0.1:{node.ports[transport.upper()]}', '--server-pid', str(node.process.pid)]
    for account in node.accounts:
        argv += ['--account', f'{account["user"]}:{account["password"]}']
    done = subprocess.run([*argv, *map(str, words)], capture_output=True, text=True, timeout=60)
    check(done.returncode == status, f'{argv}: {done}')
    return json.loads(done.stdout) if status == 0 else done.stderr


def test_phones_over_streams():
    """SIP over TCP and TLS: all of it arrives, the node sees connections, and none is left."""
    with Folder() as folder, One(folder) as node:
        for transport in 'tcp', 'tls', 'udp':
            accepted = node.metric('conns_accepted')
            for kind in 'options', 'register', 'invite':
                result = load_one(node, kind, transport, '--rate', 100, '--seconds', 1,
                                  '--timeout-ms', 10000, '--connections', 2)
                check_sums(result)
                check(result['transport'] == transport, f'{result}')
                check(result['done'] == result['begun'] > 0, f'{result}')
                check(result['server_cpu_ns_per_op'] > 1000, f'{result}')
            # two callers each time, and for the calls two callees
            more = node.metric('conns_accepted') - accepted
            check(more == (0 if transport == 'udp' else 8), f'{transport}: {more} connections')
        closed = load_one(node, 'options', 'tls', '--rate', 'max', '--seconds', 1,
                          '--connections', 2)
        check(closed['arrivals'] == 'closed' and closed['done'] > 500, f'{closed}')
        wait_for('connections are gone', 20, lambda: node.metric('conns') == 0)
        said = load_one(node, 'options', 'tls', '--sip', f'127.0.0.1:{node.ports["TCP"]}',
                        '--timeout-ms', 500, status=1)
        check('no TLS with the node under load' in said, said)


def test_a_stream_that_ends():
    """The node dies: what was under way is lost, what comes after finds no connection."""
    with Demo(peers=1) as demo:
        process = start(demo, '--kind', 'options', '--transport', 'tcp', '--rate', 200,
                        '--seconds', 3, '--json', '--timeout-ms', 500)
        wait_for_load(demo, 'sip_requests_in', 100)
        demo.kill(0)
        result = finish(process)
        check_sums(result)
        check(result['done'] > 0 and result['errors'].get('link_down', 0) > 100, f'{result}')
        check_offered(result, 'TCP')


def test_links_over_dtls():
    """The node dials each end, one trunk asks for that; nothing is lost, and the node agrees."""
    with Demo(peers=1) as demo:
        before = demo.metrics(0)
        result = load(demo, 'forward', '--transport', 'dtls', '--rate', 2000, '--seconds', 1,
                      '--connections', 3, '--timeout-ms', 10000)
        after = demo.metrics(0)
        check(result['transport'] == 'dtls', f'{result}')
        check(result['done'] == result['begun'] > 0, f'{result}')
        moved = {name: metric(after, name) - metric(before, name) for name in (
            'attach_dials', 'conns_accepted', 'dht_forwarded', 'datagrams_in', 'datagrams_out')}
        check(moved['attach_dials'] == 6 and moved['conns_accepted'] == 1, f'{moved}')
        check(moved['dht_forwarded'] >= result['done'], f'{moved}, {result}')
        check(min(moved['datagrams_in'], moved['datagrams_out']) > result['done'], f'{moved}')
        closed = load(demo, 'forward', '--transport', 'dtls', '--rate', 'max', '--seconds', 1,
                      '--connections', 2, '--size', 1120)
        check(closed['done_per_s'] > 500 and closed['done'] > 0.99 * closed['begun'], f'{closed}')
        print(f'  {closed["done_per_s"]:.0f}/s, errors {closed["errors"]}')
        wait_for('links are gone', 20, lambda: not demo.ctl(0, 'links')['links'])


def test_a_dtls_link_that_ends():
    """It sleeps, and is late; it dies, and what was under way is lost."""
    with Demo(peers=1) as demo:
        process = start(demo, '--kind', 'forward', '--transport', 'dtls', '--rate', 200,
                        '--seconds', 4, '--json', '--timeout-ms', 5000)
        wait_for_load(demo, 'dht_forwarded', 50)
        demo.kill(0, signal.SIGSTOP)
        time.sleep(0.5)
        demo.kill(0, signal.SIGCONT)
        wait_for_load(demo, 'dht_forwarded', 200)
        demo.kill(0)
        result = finish(process)
        check_sums(result)
        check(result['latency_us']['max'] > 400e3, f'{result}')
        check(result['done'] > 200 and result['failed'] > 20, f'{result}')


def test_refuses():
    cases = {
        ('--kind', 'options'): 'chordial demo --hold --json',
        ('--rate', '5'): 'no kind',
        ('--kind', 'opton', '--sip', '127.0.0.1'): 'did you mean options',
        ('--kind', 'options', '--rate', 'fast'): '--rate fast',
        ('--kind', 'options', '--rate', '0'): '--rate 0',
        ('--kind', 'options', '--seconds', '0'): '--seconds 0',
        ('--kind', 'options', '--connections', '100000'): '--connections 100000',
        ('--kind', 'options', '--arrivals', 'x'): 'poisson or constant',
        ('--kind', 'options', '--transport', 'x'): 'udp, tcp, tls or dtls',
        ('--kind', 'options', '--transport', 'dtls'): 'only forward',
        ('--kind', 'forward', '--transport', 'dtls', '--size', '1200'): '--size 1200',
        ('--kind', 'forward', '--transport', 'dtls', '--overlay', '127.0.0.1:9'): 'no overlay',
        ('--kind', 'options', '--transport', 'tcp', '--sip', '127.0.0.1:9'): 'cannot connect',
        ('--kind', 'options', '--sip', '192.0.2.1:5060'): '--i-own-the-target',
        ('--kind', 'forward', '--sip', '127.0.0.1:5060'): 'no overlay',
        ('--kind', 'register', '--sip', '127.0.0.1:5060'): 'too few accounts',
        ('--kind', 'fetch', '--overlay', '127.0.0.1:1', '--ca', '/nowhere'): '/nowhere',
        ('--kind', 'options', '--in-turn', '--sip', '127.0.0.1:9'): 'not with --in-turn',
        ('--kind', 'options', '--in-turn', '--rate', 'max', '--demo', '-'): 'not with --in-turn',
        ('--kind', 'options', '--key', 'dsa'): 'ed25519, p256 or rsa2048',
    }
    for words, text in cases.items():
        done = subprocess.run([CHORDIAL, 'load', *words], capture_output=True, text=True,
                              timeout=60)
        check(done.returncode in (1, 2) and not done.stdout, f'{words}: {done}')
        check(done.stderr.startswith('chordial load: ') and text in done.stderr,
              f'{words}: {done.stderr}')
    nobody = subprocess.run([CHORDIAL, 'load', '--kind', 'options', '--sip', '127.0.0.1:9',
                             '--rate', '50', '--seconds', '1', '--timeout-ms', '200', '--json'],
                            capture_output=True, text=True, timeout=60)
    check(nobody.returncode == 1, f'{nobody}')
    check(json.loads(nobody.stdout)['done'] == 0, f'{nobody}')
    check_sums(json.loads(nobody.stdout))


if __name__ == '__main__':
    run([test_refuses, test_each_kind, test_the_node_agrees, test_mixed_and_max,
         test_warm_and_awake, test_in_turn,
         test_a_frozen_server_shows, test_a_dead_server_counts, test_interrupted,
         test_says_when_it_is_the_limit, test_without_a_demo, test_phones_over_streams,
         test_a_stream_that_ends, test_links_over_dtls, test_a_dtls_link_that_ends])
