#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kamailio as a neighbour: phones behind a Kamailio that records its route reach their node through
it, in front of a node (its phones call) and behind one (its phones are called)."""
import os
import subprocess
import time

from live import Demo, Failure, Folder, check, phone_ports, run, wait_for
from phone import Phone

CONFIG = '''#!KAMAILIO
debug=-3
log_stderror=yes
children=1
disable_tcp=yes
dns=off
rev_dns=off
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {{
    if (has_totag()) {{
        loose_route();
    }} else {{
        if (is_method("INVITE")) record_route();
        if ($rd == "{domain}" && $si == "127.0.0.1" && $sp != {node}) $du = "sip:127.0.0.1:{node}";
    }}
    t_relay();
    exit;
}}
'''


class Kamailio:
    def __init__(self, folder, demo, peer):
        self.port = phone_ports(1)
        self.address = f'127.0.0.1:{self.port}'
        config = os.path.join(folder, f'kamailio{peer}.cfg')
        with open(config, 'w', encoding='ascii') as f:
            f.write(CONFIG.format(domain=demo.domain,
                                  node=demo.peers[peer]['sip'].rsplit(':', 1)[1]))
        self.log = open(os.path.join(folder, f'kamailio{peer}.log'), 'w+', encoding='utf-8')
        self.process = subprocess.Popen(
            ['kamailio', '-DD', '-f', config, '-l', f'udp:{self.address}', '-m', '64', '-M', '8',
             '-Y', folder, '-P', os.path.join(folder, f'kamailio{peer}.pid')],
            stdout=self.log, stderr=subprocess.STDOUT)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def said(self):
        with open(self.log.name, encoding='utf-8', errors='replace') as f:
            return f.read()[-1500:]


def call(a, b, hangs_up):
    """One call in which the callee or the caller ends it."""
    if hangs_up is a:
        status, bye, why = a.call(b.aor, limit=10)
        check((status, bye) == (200, 200), f'{a.user} to {b.user}: {status} {why}, BYE {bye}')
        return
    status, bye, why = b.called_by(a)
    check((status, bye) == (200, 200), f'{a.user} to {b.user}, BYE of the callee: {status} {bye} '
          f'{why}')


class Callee(Phone):
    """A phone that can end a call that it has taken."""

    def __init__(self, *args):
        super().__init__(*args)
        self.invite = None
        self.ended = []

    def on_request(self, method, headers):
        if method == 'INVITE':
            self.invite = headers
        if method == 'BYE':
            self.ended.append(headers)
        super().on_request(method, headers)

    def called_by(self, caller):
        """The caller calls and stays; this side says BYE.  (INVITE, BYE, Warning)."""
        from phone import first, uri_of, values
        import secrets
        uri, call_id, tag = f'sip:{self.aor}', secrets.token_hex(12), secrets.token_hex(6)
        status, headers = caller.authenticated('INVITE', uri, f'<{uri}>', call_id, tag, limit=10)
        if status != 200:
            return status, None, first(headers, 'warning')
        routes = [r.strip() for v in values(headers, 'record-route') for r in v.split(',')]
        branch = 'z9hG4bK' + secrets.token_hex(12)
        caller.send(f'ACK {uri_of(first(headers, "contact"))} SIP/2.0\r\n'
                    f'Via: SIP/2.0/UDP {caller.local};branch={branch};rport\r\nMax-Forwards: 70\r\n'
                    + ''.join(f'Route: {r}\r\n' for r in reversed(routes)) +
                    f'From: <sip:{caller.aor}>;tag={tag}\r\nTo: {first(headers, "to")}\r\n'
                    f'Call-ID: {call_id}\r\nCSeq: 2 ACK\r\nContent-Length: 0\r\n\r\n')
        time.sleep(0.05)
        routes = [r.strip() for v in values(self.invite, 'record-route') for r in v.split(',')]
        aor, self.aor = self.aor, self.aor
        bye, headers = self.request('BYE', uri_of(first(self.invite, 'contact')),
                                    first(self.invite, 'from'), call_id, 100, 't', routes=routes,
                                    limit=10)
        self.aor = aor
        return status, bye, first(headers, 'warning')


def test_kamailio_in_front_and_behind():
    with Folder() as folder, Demo(peers=2) as demo:
        proxies, phones = [], []
        try:
            for peer in (0, 1):
                proxies.append(Kamailio(folder, demo, peer))
            # two phones behind the Kamailio of each node, and one directly at each
            for i, server in enumerate([proxies[0].address, proxies[1].address,
                                        demo.peers[0]['sip'], demo.peers[1]['sip']]):
                phones.append(Callee(demo.accounts[i], demo.domain, server))
            for phone in phones:
                wait_for(f'{phone.user} registers', 15,
                         lambda p=phone: p.register(limit=2) == 200)
            a, b, c, d = phones
            for caller, callee in ((a, d), (d, a), (c, b), (a, b), (a, c)):
                call(caller, callee, caller)
                call(caller, callee, callee)
        except Failure as failure:
            said = ' | '.join(p.said() for p in proxies)
            raise Failure(f'{failure}; Kamailio: {said}') from None
        finally:
            for phone in phones:
                phone.close()
            for proxy in proxies:
                proxy.stop()


run([test_kamailio_in_front_and_behind])
