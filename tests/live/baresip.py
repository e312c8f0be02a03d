#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two baresip phones at different nodes register with digest (MD5), call each other, and each
hears the other's tone (Must hold 3).  Their RTP goes straight from phone to phone."""
import json
import math
import os
import socket
import subprocess
import time
import wave

from live import Demo, Failure, Folder, account_name, check, phone_ports, run, wait_for

RATE = 8000
SECONDS = 6      # of a call
PORTS = 14      # of a phone: two of SIP, its control port and ten for RTP, from an even one on
TONES = (440, 1000)
MODULES = '/usr/lib/baresip/modules'


def write_tone(path, hertz):
    with wave.open(path, 'wb') as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(RATE)
        samples = (int(12000 * math.sin(2 * math.pi * hertz * i / RATE)) for i in range(60 * RATE))
        w.writeframes(b''.join(s.to_bytes(2, 'little', signed=True) for s in samples))


def power(samples, hertz):
    """Goertzel: the power of one frequency, per sample and relative to full scale."""
    coefficient = 2 * math.cos(2 * math.pi * hertz / RATE)
    a = b = 0.0
    for sample in samples:
        a, b = sample / 32768 + coefficient * a - b, a
    return (a * a + b * b - coefficient * a * b) / len(samples) ** 2


def read_samples(path):
    with wave.open(path, 'rb') as w:
        check(w.getframerate() == RATE and w.getsampwidth() == 2, f'{path} has another format')
        data = w.readframes(w.getnframes())
    return [int.from_bytes(data[i:i + 2], 'little', signed=True)
            for i in range(0, len(data) - 1, 2)]


def loud_part(path):
    """The samples of a recording, its silence before and after the call cut off."""
    samples = read_samples(path)
    loud = [i for i, s in enumerate(samples) if abs(s) > 1000]
    check(len(loud) > RATE,
          f'{os.path.basename(path)}: {len(samples)} samples, {len(loud)} of them loud')
    return samples[loud[0]:loud[-1]]


class Phone:
    """One headless baresip; told what to do, and heard, over its ctrl_tcp."""

    def __init__(self, folder, name, hertz, account, proxy, transport='udp', more=()):
        self.home = os.path.join(folder, name)
        os.mkdir(self.home)
        tone = os.path.join(self.home, 'tone.wav')
        write_tone(tone, hertz)
        sip = phone_ports(PORTS)  # the one behind it is for TLS
        control, rtp = sip + 2, sip + 4
        config = [f'sip_listen 127.0.0.1:{sip}', f'ctrl_tcp_listen 127.0.0.1:{control}',
                  f'audio_source aufile,{tone}',
                  'audio_alert aufile,/dev/null', f'rtp_ports {rtp}-{rtp + 9}',
                  'net_interface 127.0.0.1',
                  'call_local_timeout 60', f'module_path {MODULES}', 'module g711.so',
                  'module aufile.so', 'module sndfile.so', f'snd_path {self.home}',
                  'module_tmp account.so', 'module_app menu.so',
                  'module_app ctrl_tcp.so', 'audio_buffer 20-160', 'dns_server 127.0.0.1:9', *more]
        account_line = (f'<sip:{account["user"]}>;auth_user={account_name(account)}'
                        f';auth_pass={account["password"]}'
                        f';outbound="sip:{proxy};transport={transport}"'
                        ';regint=600;answermode=auto;audio_codecs=PCMU')
        self.write('config', '\n'.join(config) + '\n')
        self.write('accounts', account_line + '\n')
        self.write('contacts', '')
        self.log = open(os.path.join(self.home, 'log'), 'w+', encoding='utf-8', errors='replace')
        self.process = subprocess.Popen(['baresip', '-4', '-f', self.home],
                                        stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        self.events = []
        self.buffer = b''
        self.control = None
        try:
            wait_for(f'{name} opens its control port', 10, lambda: self.connect(control))
        except Failure as failure:
            raise Failure(f'{failure}: {self.said()}') from None

    def write(self, name, text):
        with open(os.path.join(self.home, name), 'w', encoding='ascii') as f:
            f.write(text)

    def connect(self, port):
        check(self.process.poll() is None, f'baresip ended: {self.said()}')
        try:
            self.control = socket.create_connection(('127.0.0.1', port), 1)
        except OSError:
            return False
        self.control.settimeout(0.05)
        return True

    def recorded(self):
        """What it has heard: the module sndfile writes the decoded stream."""
        found = [name for name in os.listdir(self.home) if name.endswith('-dec.wav')]
        check(len(found) == 1, f'{self.home}: {len(found)} recordings')
        return os.path.join(self.home, found[0])

    def said(self):
        self.log.flush()
        with open(self.log.name, encoding='utf-8', errors='replace') as f:
            return f.read()[-1500:]

    def tell(self, command, params=''):
        text = json.dumps({'command': command, 'params': params}).encode()
        self.control.sendall(b'%d:%s,' % (len(text), text))

    def hear(self):
        """Takes in what has come: netstrings that hold JSON."""
        try:
            self.buffer += self.control.recv(65536)
        except TimeoutError:
            pass
        while b':' in self.buffer:
            length, rest = self.buffer.split(b':', 1)
            if len(rest) <= int(length):
                break
            self.events.append(json.loads(rest[:int(length)]))
            self.buffer = rest[int(length) + 1:]
        return [event.get('type') for event in self.events]

    def wait(self, kind, seconds):
        try:
            wait_for(kind, seconds, lambda: kind in self.hear(), every=0.05)
        except Failure as failure:
            raise Failure(f'{failure}; heard {self.hear()}; {self.said()}') from None

    def stop(self):
        if self.control:
            self.control.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def judge(path, own, other):
    samples = loud_part(path)
    name = os.path.basename(os.path.dirname(path))
    heard, echoed = power(samples, other), power(samples, own)
    seconds = len(samples) / RATE
    print(f'     {name}: {seconds:.1f} s, {other} Hz {heard:.4f}, {own} Hz {echoed:.6f}')
    check(len(samples) > (SECONDS - 3) * RATE, f'{name} heard {len(samples) / RATE:.1f} s only')
    check(heard > 0.005 and heard > 50 * echoed, f'{name} did not hear {other} Hz')


def test_two_baresips_talk():
    with Folder() as folder, Demo() as demo:
        phones = []
        try:
            for i, peer in enumerate((1, 4)):
                phones.append(Phone(folder, account_name(demo.accounts[i]), TONES[i],
                                    demo.accounts[i], demo.peers[peer]['sip']))
            caller, callee = phones
            for phone in phones:
                wait_for(f'{phone.home} registers', 15, lambda p=phone: '200 OK' in p.said())
            caller.tell('dial', f'sip:{demo.accounts[1]["user"]}')
            caller.wait('CALL_ESTABLISHED', 15)
            callee.wait('CALL_ESTABLISHED', 5)
            time.sleep(SECONDS)
            caller.tell('hangup')
            callee.wait('CALL_CLOSED', 10)
            caller.wait('CALL_CLOSED', 10)
            closed = next(e for e in callee.events if e.get('type') == 'CALL_CLOSED')
            check('reset by peer' in closed.get('param', '').lower(),
                  f'the call did not end by BYE: {closed}')
        finally:
            for phone in phones:
                phone.stop()
        judge(caller.recorded(), TONES[0], TONES[1])
        judge(callee.recorded(), TONES[1], TONES[0])


if __name__ == '__main__':
    run([test_two_baresips_talk])
