#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""baresip and linphone-cli at different nodes register with digest and call each other, in both
directions, and each hears the other's tone (issue 6, Build 7).  Their RTP goes straight from phone
to phone."""
import os
import shutil
import subprocess
import threading
import time

import baresip
from live import Demo, Failure, Folder, account_name, check, phone_ports, run, wait_for

SECONDS = baresip.SECONDS = 4  # of a call
TONES = baresip.TONES


class Linphone:
    """One headless linphonec; told what to do on its standard input, heard on its output.  Files
    stand in for its sound card."""

    def __init__(self, folder, hertz, account, proxy):
        self.home = os.path.join(folder, 'linphone')
        os.makedirs(os.path.join(self.home, '.local/share/linphone'))
        self.tone = os.path.join(self.home, 'tone.wav')
        self.heard = os.path.join(self.home, 'heard.wav')
        baresip.write_tone(self.tone, hertz)
        config = os.path.join(self.home, 'linphonerc')
        port = phone_ports(4)
        with open(config, 'w', encoding='ascii') as f:
            f.write(f'''[sip]
sip_port={port}
sip_tcp_port=0
sip_tls_port=0
guess_hostname=0
use_ipv6=0
contact=sip:{account["user"].split("@")[0]}@127.0.0.1
default_proxy=0
register_only_when_network_is_up=0
keepalive_period=30000
[net]
nat_policy_ref=
[rtp]
audio_rtp_port={port + 2}
[auth_info_0]
username={account_name(account)}
passwd={account["password"]}
realm={account["user"].split("@")[1]}
[proxy_0]
reg_proxy=<sip:{proxy}>
reg_route=<sip:{proxy};lr>
reg_identity=sip:{account["user"]}
reg_expires=600
reg_sendregister=1
publish=0
[audio_codec_0]
mime=PCMU
rate=8000
enabled=1
[video]
enabled=0
capture=0
display=0
[misc]
file_transfer_server_url=
''')
        environment = dict(os.environ, HOME=self.home, LC_ALL='C')
        self.lines = []
        log = os.path.join(self.home, 'log')
        self.process = subprocess.Popen(['stdbuf', '-oL', 'linphonec', '-c', config, '-d', '6',
                                         '-l', log],
                                        cwd=self.home, env=environment, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()
        self.tell('soundcard use files')
        self.tell(f'play {self.tone}')
        self.tell(f'record {self.heard}')

    def listen(self):
        for line in self.process.stdout:
            self.lines.append(line.decode('utf-8', 'replace').rstrip())

    def said(self):
        return '\n'.join(self.lines[-30:])

    def tell(self, command):
        self.process.stdin.write(command.encode() + b'\n')
        self.process.stdin.flush()

    def wait(self, text, seconds, again=None):
        """Until it says so in a line that has not been waited for yet; `again`: asked meanwhile."""
        def is_said():
            if again:
                self.tell(again)
            check(self.process.poll() is None, f'linphonec ended: {self.said()}')
            for i, line in enumerate(self.lines):
                if text in line:
                    self.lines[i] = '(seen) ' + line.replace(text, '...')
                    return True
            return False
        try:
            wait_for(text, seconds, is_said, every=0.5 if again else 0.1)
        except Failure as failure:
            raise Failure(f'{failure}; it said: {self.said()}') from None

    def stop(self):
        try:
            self.tell('quit')
            self.process.wait(15)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.thread.join()
        self.process.stdin.close()
        self.process.stdout.close()


def judge(path, own, other):
    """As baresip's, in pieces of a quarter of a second: where linphone's jitter buffer adapts, the
    tone goes on with another phase, and over the whole it would cancel itself."""
    samples = baresip.loud_part(path)
    size = baresip.RATE // 4
    pieces = [samples[i:i + size] for i in range(0, len(samples) - size + 1, size)]
    heard, echoed = (sum(baresip.power(p, hertz) for p in pieces) / len(pieces)
                     for hertz in (other, own))
    seconds = len(samples) / baresip.RATE
    print(f'     linphone: {seconds:.1f} s, {other} Hz {heard:.4f}, {own} Hz {echoed:.6f}')
    check(seconds > SECONDS - 2, f'linphone heard {seconds:.1f} s only')
    check(heard > 0.005 and heard > 50 * echoed, f'linphone did not hear {other} Hz')


def converse(bare_calls):
    with Folder() as folder, Demo(peers=2) as demo:
        bare = linphone = None
        try:
            bare = baresip.Phone(folder, 'bare', TONES[0],
                                 demo.accounts[0], demo.peers[0]['sip'])
            linphone = Linphone(folder, TONES[1], demo.accounts[1],
                                demo.peers[1]['sip'])
            wait_for('baresip registers', 20, lambda: '200 OK' in bare.said())
            linphone.wait('registered, identity', 20, again='status register')
            if bare_calls:
                bare.tell('dial', f'sip:{demo.accounts[1]["user"]}')
                linphone.wait('incoming call', 20)
                linphone.tell('answer')
            else:
                linphone.tell(f'call sip:{demo.accounts[0]["user"]}')
            linphone.wait('connected', 20)
            bare.wait('CALL_ESTABLISHED', 20)
            time.sleep(SECONDS)
            if bare_calls:
                bare.tell('hangup')
            else:
                linphone.tell('terminate')
            bare.wait('CALL_CLOSED', 15)
            linphone.wait('ended', 15)
        finally:
            if linphone:
                linphone.stop()
            if bare:
                bare.stop()
        baresip.judge(bare.recorded(), TONES[0], TONES[1])
        judge(linphone.heard, TONES[1], TONES[0])


def test_baresip_calls_linphone():
    converse(True)


def test_linphone_calls_baresip():
    converse(False)


if __name__ == '__main__':
    if shutil.which('linphonec') is None:
        print('SKIP linphone: no linphonec; ./configure.py --deps installs linphone-cli')
        print('0 passed, 0 failed, 2 skipped')
    else:
        run([test_baresip_calls_linphone, test_linphone_calls_baresip])
