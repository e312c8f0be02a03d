#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MESSAGE (sipsak writes, sipp reads), presence (sipp, sipp; baresip, baresip) between two nodes,
and a MESSAGE that waits for its reader (docs/events.md)."""
import json
import os
import signal
import subprocess
import time

from baresip import Phone
from live import (CHORDIAL, Demo, Failure, Folder, Sipp, account_name, check, credentials,
                  phone_ports, register, run, wait_for)

TEXT = 'hello over the ring'


def fields_of(demo, account, *more):
    return [(account_name(account), credentials(account), demo.domain, *more)]


def send_message(folder, demo, peer, sender, reader):
    """What sipsak prints; its status is 0 for a 2xx.  (Its own -M falls over, so it shoots.)"""
    path = os.path.join(folder, 'message')
    with open(path, 'w', encoding='ascii') as f:
        f.write(f'MESSAGE sip:{reader["user"]} SIP/2.0\nFrom: <sip:{sender["user"]}>;tag=1\n'
                f'To: <sip:{reader["user"]}>\nCall-ID: {time.monotonic()}\nCSeq: 1 MESSAGE\n'
                f'Max-Forwards: 70\nContent-Type: text/plain\n'
                f'Content-Length: {len(TEXT)}\n\n{TEXT}')
    command = ['sipsak', '-f', path, '-v', '-v', '-v',
               '-s', f'sip:{account_name(reader)}@{demo.peers[peer]["sip"]}',
               '-u', account_name(sender), '-a', sender['password']]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40)
    return done.returncode, done.stdout + done.stderr


def answer_to(demo, account):
    """What a request to the account would get."""
    done = subprocess.run([CHORDIAL, 'resolve', '-s', demo.peers[0]['ctl'],
                           f'sip:{account["user"]}', '--json'],
                          capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)['status']


def test_message_by_sipsak():
    with Folder() as folder, Demo() as demo:
        sender, reader = demo.accounts[0], demo.accounts[1]
        port = phone_ports(2)
        register(folder, demo, 0, sender, port)
        # the certificates of accounts are published in the background
        wait_for('480', 10, lambda: answer_to(demo, reader) == 480)
        status, said = send_message(folder, demo, 0, sender, reader)
        check(status != 0 and ' 480 ' in said, f'nobody is there, and yet: {said[-800:]}')
        register(folder, demo, 3, reader, port + 1)
        reading = Sipp(folder, 'reader', demo.peers[3]['sip'], port + 1, 1, seconds=30)
        try:
            status, said = send_message(folder, demo, 0, sender, reader)
            check(status == 0, f'sipsak: {said[-1500:]}')
            result = reading.wait()
            check(result['ok'] == 1, f'reader: {result}')
        finally:
            reading.stop()


def test_presence_by_sipp():
    with Folder() as folder, Demo() as demo:
        watcher, watched = demo.accounts[0], demo.accounts[1]
        port = phone_ports(2)
        register(folder, demo, 0, watcher, port)
        register(folder, demo, 3, watched, port + 1)
        watching = Sipp(folder, 'watcher', demo.peers[0]['sip'], port, 1, seconds=60,
                        fields=fields_of(demo, watcher, account_name(watched)))
        try:
            wait_for('a subscription', 10, lambda: demo.metrics(3)['sip_subscriptions'] == 1)
            result = Sipp(folder, 'publisher', demo.peers[3]['sip'], port + 1, 1, seconds=30,
                          fields=fields_of(demo, watched)).wait()
            check(result['ok'] == 1 and result['failed'] == 0, f'publisher: {result}')
            result = watching.wait()
            check(result['ok'] == 1 and result['failed'] == 0, f'watcher: {result}')
        finally:
            watching.stop()
        for name in ('sip_subscriptions', 'sip_publications'):
            wait_for(f'no {name}', 5, lambda n=name: demo.metrics(3)[n] == 0)


class Friend(Phone):
    """A baresip that publishes its presence, and watches `friend`, if there is one."""

    def __init__(self, folder, demo, number, peer, friend):
        self.friend = friend
        super().__init__(folder, account_name(demo.accounts[number]), 440,
                         demo.accounts[number], demo.peers[peer]['sip'])

    def write(self, name, text):
        if name == 'config':
            text = text.replace('module_app menu.so', 'module_app contact.so\n'
                                'module_app menu.so\nmodule_app presence.so')
        elif name == 'accounts':
            text = text.strip() + ';pubint=600\n'
        elif name == 'contacts' and self.friend:
            text = f'"Friend" <sip:{self.friend["user"]}>;presence=p2p\n'
        super().write(name, text)

    def sees_friend(self):
        self.tell('contacts')
        self.hear()
        return any('Online' in str(event.get('data', '')) for event in self.events)


def test_presence_by_baresip():
    with Folder() as folder, Demo() as demo:
        phones = []
        try:
            phones.append(Friend(folder, demo, 1, 4, None))
            # two where it says more before the first was answered: both begin (RFC 3903 4.1)
            wait_for('a publication', 20, lambda: demo.metrics(4)['sip_publications'] >= 1)
            phones.append(Friend(folder, demo, 0, 1, demo.accounts[1]))
            wait_for('it sees its friend', 30, phones[1].sees_friend, every=0.3)
            check(demo.metrics(4)['sip_subscriptions'] == 1, 'somebody else told it')
            check(demo.metrics(4)['sip_notifies_failed'] == 0, 'NOTIFY failed')
        finally:
            for phone in phones:
                phone.stop()


def is_back(demo, peer):
    try:
        return demo.ctl(peer, 'status')['shards'][0]['ready']
    except Failure:
        return False


def test_message_waits():
    """The reader's node keeps messages; the reader goes, is written to, and comes back."""
    with Folder() as folder, Demo() as demo:
        sender, reader = demo.accounts[0], demo.accounts[1]
        home = os.path.dirname(demo.info['keylog'])
        name = demo.peers[3]['name']
        demo.kill(3, signal.SIGKILL)
        with open(os.path.join(home, name + '.conf'), 'a', encoding='ascii') as f:
            f.write('offline-messages = 600\n')
        with open(os.path.join(folder, 'log'), 'wb') as log:
            command = [os.path.abspath(CHORDIAL), 'run', '-c', name + '.conf']
            own = subprocess.Popen(command, cwd=home, stdout=log, stderr=log)
            try:
                wait_for('the peer is back', 30, lambda: is_back(demo, 3), every=0.5)
                port = phone_ports(2)
                register(folder, demo, 0, sender, port)
                result = Sipp(folder, 'unregister', demo.peers[3]['sip'], port + 1, 1,
                              fields=fields_of(demo, reader), seconds=15).wait()
                check(result['ok'] == 1, f'unregister: {result}')
                time.sleep(3)  # past the caller's short cache
                status, said = send_message(folder, demo, 0, sender, reader)
                check(' 202 ' in said, f'sipsak: {said[-1500:]}')
                check(demo.metrics(3)['sip_offline'] == 1, 'nothing is kept')
                register(folder, demo, 3, reader, port + 1)
                reading = Sipp(folder, 'reader', demo.peers[3]['sip'], port + 1, 1, seconds=30)
                try:
                    result = reading.wait()
                    check(result['ok'] == 1, f'reader: {result}')
                finally:
                    reading.stop()
                wait_for('it is delivered', 5,
                         lambda: demo.metrics(3)['sip_offline_delivered'] == 1)
            finally:
                own.terminate()
                own.wait(20)


if __name__ == '__main__':
    run([test_message_by_sipsak, test_presence_by_sipp, test_presence_by_baresip,
         test_message_waits])
