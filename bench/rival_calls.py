# SPDX-License-Identifier: Apache-2.0
"""Phones of bench/rivals.py that need a password: the dialog that rival_sip sends in, and the time
from INVITE to ringing through two nodes."""
import os
import secrets
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                'tests', 'live'))
import phone  # noqa: E402


def registered(account, domain, server, **how):
    p = phone.Phone(account, domain, server, **how)
    status = p.register()
    if status != 200:
        raise OSError('REGISTER of %s: %d' % (p.aor, status))
    return p


def dialog(told, server):
    """Words for rival_sip: a call between two phones at one node, answered and never ended.  Their
    ports are free again."""
    a, b = (registered(account, told['domain'], server) for account in told['accounts'][:2])
    try:
        call_id, tag, uri = secrets.token_hex(12), secrets.token_hex(6), 'sip:' + b.aor
        status, headers = a.authenticated('INVITE', uri, '<%s>' % uri, call_id, tag)
        if status != 200:
            raise OSError('INVITE: %d' % status)
        b.dialogs[call_id] = None  # the 200 need not be repeated
        routes = [r.strip() for v in phone.values(headers, 'record-route') for r in v.split(',')]
        return ['--route', ','.join(reversed(routes)), '--target',
                phone.uri_of(phone.first(headers, 'contact')), '--to', b.aor,
                '--uac-port', a.local.rpartition(':')[2],
                '--uas-port', b.local.rpartition(':')[2]]
    finally:
        a.close()
        b.close()
