#!/usr/bin/env python3
"""A whole node of a ring, in one file, written from PROTOCOL.md alone. Codec: json.

    node.py HOST:PORT [--bundles] [--break NAME]

It registers, keeps links, relays, receives, takes part in traffic runs, and leaves at SIGINT.
It has no congestion window and no detours. It sends and takes bundles with --bundles only.
--break plants one of the faults named below, which the conformance test must find.
"""
import hashlib, hmac, json, os, random, signal, socket, struct, sys, threading, time

OPEN, OPENED, REFUSE, DATA, SYNC, ACK, RESET, CLOSE, CLOSED, CAST, TRACE, TRACED, NOROUTE, PING, PONG, SHARE, SHARED, END, FAREWELL, VIOLATED = range(1, 21)
REGISTER, REGISTERED, REFUSED, DEREGISTER, DEREGISTERED, MANIFEST, LINKED, READY, BEAT, BEATANSWER, TASK, FINISHED, COLLECT, SUMMARY, EXPLAIN, PAIRS, TRACECTL, TRACEDCTL, BYE, UPDATE, ANNOUNCE, TROUBLE, PINGCTL = range(0x40, 0x57)
VIOLATION = 0x59
BUNDLES = "--bundles" in sys.argv
BUNDLE = 2  # the flag
BROKEN = sys.argv[sys.argv.index("--break") + 1] if "--break" in sys.argv else ""


class Broken(Exception):
    """A rule that the other side has broken."""

    def __init__(self, rule, text):
        super().__init__(f"R{rule}: {text}")
        self.rule = rule


def frame(t, dst=0, src=0, seq=0, body=b"", hops=0, port=0, flags=0):
    return struct.pack(">IHBBQQQ", t << 24 | 28 + len(body), hops, port, flags, dst, src, seq) + body


def messages(f):
    """The messages of a Data frame, None if it is a bundle that is not well formed."""
    b = bytes(f[32:])
    if not f[7] & BUNDLE or not BUNDLES:
        return [b]
    count, at, all = int.from_bytes(b[:2], "big"), 2, []
    while at + 2 <= len(b):
        n = int.from_bytes(b[at:at + 2], "big")
        all.append(b[at + 2:at + 2 + n])
        at += 2 + n
    if BROKEN == "any-bundle":
        return all or [b""]
    return all if at == len(b) and 0 < len(all) == count else None


def exactly(sock, n):
    b = b""
    while len(b) < n:
        got = sock.recv(n - len(b))
        if not got:
            if b and BROKEN == "keeps-cut":
                time.sleep(1000)
            raise ConnectionError("closed")
        b += got
    return b


def hello(role, me=(0, 0), to=(0, 0)):
    names = b"\x02\x04json\x04ring"
    return struct.pack(">4sBBHQQQQQ", b"RDHT", 2, role, 40 + len(names), *me, *to, 0) + names


def dial(addr, role, me=(0, 0), to=(0, 0)):
    host, port = addr.rsplit(":", 1)
    s = socket.create_connection((host.strip("[]"), int(port)), 5)
    s.sendall(hello(role, me, to))
    if BROKEN == "early":
        s.sendall(frame(PING))
    magic, version, status, n = struct.unpack(">4sBBH", exactly(s, 8))
    rest = exactly(s, n)
    if magic != b"RDHT" or version != 2 or status:
        raise ConnectionError(f"refused: status {status}, {rest[8:]!r}")
    s.settimeout(None)
    return s


class Conn:
    """A connection with a peer: up to two links."""

    def __init__(self, node, sock, peer, dialled):
        self.node, self.sock, self.peer, self.dialled = node, sock, peer, dialled
        self.ours, self.theirs = dialled, not dialled  # directions that are open
        self.ended = False  # the peer has sent End
        self.shared = False
        self.queue, self.wake, self.closed = [], threading.Condition(), False
        threading.Thread(target=self.write, daemon=True).start()
        threading.Thread(target=self.read, daemon=True).start()

    def put(self, b):
        with self.wake:
            if len(self.queue) < 10000:  # else dropped: streams repeat
                self.queue.append(b)
                self.wake.notify()

    def write(self):
        while True:
            with self.wake:
                while not self.queue and not self.closed:
                    self.wake.wait()
                if not self.queue:
                    self.sock.close()
                    return
                b, self.queue = b"".join(self.queue), []
            try:
                self.sock.sendall(b)
            except OSError:
                return self.close()

    def close(self):
        try:  # before write closes it: a read that goes on would keep it open
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        with self.wake:
            self.closed = True
            self.wake.notify()
        self.node.lost(self)

    def end(self):
        with self.node.lock:
            if self.ours:
                self.ours = False
                self.put(frame(END))
            if not self.theirs:
                self.close()

    def read(self):
        try:
            while True:
                head = exactly(self.sock, 4)
                t, n = head[0], int.from_bytes(head[1:], "big")
                if not (1 <= t <= 20 or 0x20 <= t <= 0x3F):
                    if BROKEN != "any-type":
                        raise Broken(10, f"type {t:#x}")
                if 4 + n > 32 + max(self.node.terms["max_payload"], 512):
                    raise Broken(11, f"{n} bytes")
                if n < 28:
                    raise Broken(12, f"{n} bytes")
                f = bytearray(head + exactly(self.sock, n))
                with self.node.lock:
                    self.handle(t, f)
        except Broken as e:
            self.put(frame(VIOLATED, seq=e.rule, body=bytes([len(f"R{e.rule}")]) + f"R{e.rule}{e}".encode()))
        except (OSError, ConnectionError):
            pass
        self.close()

    def handle(self, t, f):
        if t == VIOLATED:
            if BROKEN == "accuses":
                raise Broken(16, "that is not true")
            raise ConnectionError("the peer says that this node broke a rule")
        if 0x30 <= t <= 0x3F:
            return
        if 14 <= t <= 18:
            if len(f) != 32 or any(f[4:24]):
                if BROKEN != "ping-body":
                    raise Broken(21, "not bare")
        elif not self.theirs or self.ended:
            raise Broken(20, "not open")
        else:
            return self.node.route(f, self)
        seq = f[24:32]
        if t == PING and self.theirs and not self.ended:
            if BROKEN != "no-pong":
                self.put(frame(PONG, seq=int.from_bytes(seq, "big")))
        elif t == SHARE and self.dialled and not self.shared:
            self.shared = True
            if self.ours:
                self.theirs = True
                self.put(frame(SHARED))
        elif t == END and self.theirs and not self.ended:
            self.ended, self.theirs = True, False
            if not self.ours:
                raise ConnectionError("both have ended")
        elif BROKEN != "any-type":
            raise Broken({PONG: 23, SHARE: 24, SHARED: 25}.get(t, 20), "out of place")


class Source:
    """The source's half of a stream."""

    def __init__(self, node, sink):
        self.node, self.sink, self.gen = node, sink, node.generation()
        self.state, self.una, self.nxt, self.rcvd, self.window = "opening", 0, 0, 0, 0
        self.out, self.waiting, self.round, self.asked, self.asked_at = {}, [], 0, None, 0  # out: frames, by the first number
        self.bundles = BROKEN == "always-bundles"  # the sink takes them
        self.unknown, self.next_ask = [], time.time() + 0.5
        self.open = frame(OPEN, sink, node.id, self.gen, struct.pack(">Q", node.inc))
        node.emit(self.open)

    def pump(self):
        while self.state == "open" and self.waiting:
            room = min(self.window, 2 << 20) - sum(map(len, self.out.values()))
            if BROKEN == "counts-part":
                room += sum(len(m) for n, f in self.out.items() for i, m in enumerate(messages(f)) if n + i < self.una)
            if BROKEN == "large-exception" and not self.out:
                room = 2 << 20
            count, port = 1, self.waiting[0][1]
            size = 6 + len(self.waiting[0][0])  # of the body of a bundle with one message more
            while self.bundles and count < min(len(self.waiting), 65535) and self.waiting[count][1] == port:
                size += 2 + len(self.waiting[count][0])
                if size - 2 > self.node.terms["max_payload"] or 32 + size - 2 > room:
                    break
                count += 1
            body, flags = self.waiting[0][0], 0
            if count > 1:
                body, flags = struct.pack(">H", count), BUNDLE
                for m, _ in self.waiting[:count]:
                    body += struct.pack(">H", len(m)) + m
            b = frame(DATA, self.sink, self.node.id, self.nxt, body, port=port, flags=flags)
            if self.out and len(b) > room and BROKEN != "no-window":
                break
            del self.waiting[:count]
            self.out[self.nxt] = b
            self.nxt += count
            self.node.emit(b)
        if self.state == "open" and self.una < self.nxt and self.asked_at != self.nxt:
            self.sync()

    def sync(self):
        self.round = (self.round + 1) & 0xFFFFFFFF
        self.asked, self.asked_at = (self.round, self.nxt), self.nxt
        self.next_ask = time.time() + 1
        at = self.nxt - (BROKEN == "sync-within" and self.bundles)
        self.node.emit(frame(SYNC, self.sink, self.node.id, at, struct.pack(">I", self.round)))

    def opened(self, seq, body, flags):
        source, sink, first, window = struct.unpack(">QQQI", body)
        if self.state == "opening" and (seq == self.gen or BROKEN == "any-opened") and source == self.node.inc and first <= 1 << 63:
            self.state, self.una, self.nxt, self.rcvd, self.window, self.asked_at = "open", first, first, first, window, first
            self.bundles = self.bundles or BUNDLES and flags & BUNDLE != 0
            self.pump()

    def ack(self, seq, body):
        received, window, round = struct.unpack(">III", body[:12])
        ranges = [struct.unpack(">II", body[i:i + 8]) for i in range(12, len(body), 8)]
        if self.state not in ("open", "closing") or seq < self.una or seq + received < self.rcvd or seq + received > self.nxt:
            return
        self.una = seq
        self.forget()
        self.una, self.rcvd, self.window = seq, seq + received, window
        if self.asked and 0 <= (round - self.asked[0]) % (1 << 32) < 1 << 31 and round == self.asked[0] or BROKEN == "any-round" and self.asked:
            limit, self.asked = self.asked[1], None
            held = set(n for at, count in ranges for n in range(self.rcvd + at, self.rcvd + at + count))
            lost = [n for n, f in self.out.items() if n < limit and any(n + i >= self.rcvd and n + i not in held for i in range(len(messages(f))))]
            for n in lost:
                if BROKEN == "plain-resend":
                    for i, m in enumerate(messages(self.out[n])):
                        self.node.emit(frame(DATA, self.sink, self.node.id, n + i, m, port=self.out[n][6]))
                elif BROKEN != "no-resend":
                    self.node.emit(self.out[n])
            if lost:
                self.sync()
        self.pump()

    def forget(self):
        """What is acknowledged, by whole frames."""
        self.out = {n: f for n, f in self.out.items() if n + len(messages(f)) > self.una}

    def pending(self):
        """The messages that were sent and are not acknowledged, with their port."""
        return [(m, f[6]) for n, f in self.out.items() for i, m in enumerate(messages(f)) if n + i >= self.una]

    def finish(self, una=None):
        """The stream is over."""
        if una is None:
            self.unknown = [m for m, _ in self.pending()]
        self.state, self.out = "ended", {}

    def tick(self):
        now = time.time()
        if now < self.next_ask:
            return
        self.next_ask = now + 1
        if self.state == "opening" and BROKEN != "no-repeat":
            self.node.emit(self.open)
        elif self.state == "open" and self.una < self.nxt and BROKEN != "no-repeat":
            self.sync()


class Sink:
    """The sink's half of a stream."""

    def __init__(self, node, source, inc, gen):
        self.node, self.source, self.inc, self.gen = node, source, inc, gen
        self.first = self.next = 1000 if BROKEN == "fixed-first" else random.randint(1, 1 << 62)
        self.held, self.round, self.asked, self.bundles = {}, 0, 0, BUNDLES

    def opened(self, seq):
        self.node.emit(frame(OPENED, self.source, self.node.id, seq, struct.pack(">QQQI", self.inc, self.node.inc, self.first, 1 << 20), flags=BUNDLE * self.bundles))
        self.bundles = self.bundles and BROKEN != "grants-once"

    def stranger(self, n):
        return n < self.first or n < self.next - (1 << 20) or n > self.next + (1 << 20)

    def ack(self):
        ranges, n = b"", 0
        held = sorted(self.held)
        while held and n < 32:
            start = end = held[0]
            while held and held[0] <= end:
                end = max(end, held[0] + len(messages(self.held[held.pop(0)])))
            ranges += struct.pack(">II", start - self.next, end - start)
            n += 1
        done = self.first if BROKEN == "goes-back" and self.held else self.next
        self.node.emit(frame(ACK, self.source, self.node.id, done, struct.pack(">III", 0, 1 << 20, self.round) + ranges))

    def data(self, f):
        seq, all = int.from_bytes(f[24:32], "big"), messages(f)
        if all is None:
            return
        if seq == self.next or BROKEN == "no-order" and seq > self.next:
            self.next = seq
            while f:
                for m in messages(f):
                    self.node.deliver(f, m)
                    self.next += 1
                f = self.held.pop(self.next, None)
            self.held = {n: f for n, f in self.held.items() if n > self.next}  # no honest source sends what goes here
            if self.asked and self.next >= self.asked:
                self.asked = 0
                if BROKEN != "one-ack":
                    self.ack()
        elif BROKEN == "takes-part" and self.first <= seq < self.next < seq + len(all):
            for m in all[self.next - seq:]:
                self.node.deliver(f, m)
                self.next += 1
        elif self.next < seq < self.next + (1 << 20):
            if len(self.held) < 1000 and all:
                self.held.setdefault(seq, f)
        elif BROKEN == "copies" and self.first <= seq < self.next:
            self.node.deliver(f, all[0])

    def sync(self, seq, round):
        self.round = round
        if seq > self.next:
            self.asked = max(self.asked, seq)
        self.ack()


class Node:
    def __init__(self, registry):
        self.registry = registry
        self.lock = threading.RLock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addr = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.token = random.getrandbits(63) or 1
        self.seen, self.gens = 0, random.getrandbits(47)
        self.ctl, self.want_id = None, None
        self.leaving = False
        self.asking = True  # Register has no answer yet
        self.awake, self.asleep = time.time(), 0  # asleep: so many Beats have no answer, the last asks after a pause
        self.beats = 0  # without an answer
        self.reset()
        threading.Thread(target=self.accept, daemon=True).start()
        threading.Thread(target=self.ticks, daemon=True).start()

    def reset(self):
        """Forget a life."""
        self.id, self.inc, self.terms, self.identity, self.epoch = None, 0, None, "", 0
        self.table, self.succ, self.others, self.idle, self.over = [], [], {}, set(), []
        self.conns, self.failed, self.ready, self.linked = [], {}, False, 0
        self.sources, self.sinks, self.dialling = {}, {}, set()
        self.run, self.task, self.summary, self.pairs, self.counts = 0, None, None, None, {}
        self.fresh_epoch, self.beat_answered = True, time.time()

    def generation(self):
        self.gens += 1
        return self.gens

    # --- connections -------------------------------------------------------------------------

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.welcome, args=(sock,), daemon=True).start()

    def welcome(self, sock):
        try:
            sock.settimeout(5)
            magic, version, role, n = struct.unpack(">4sBBH", exactly(sock, 8))
            if magic != b"RDHT" or n > 1024:
                return sock.close()
            b = exactly(sock, n)
            status, token = self.check(version, role, b)
            sock.sendall(struct.pack(">4sBBHQ", b"RDHT", 2, status, 8, token))
            if status or role != 2:
                return sock.close()
            sock.settimeout(None)
            with self.lock:
                conn = Conn(self, sock, struct.unpack(">QQ", b[:16]), False)
                self.conns.append(conn)
                ended = struct.unpack(">Q", b[24:32])[0] != self.inc and BROKEN not in ("lives-on", "any-identity", "same-life")
                if ended or self.is_over(*conn.peer) and BROKEN != "keeps-gone":  # since the answer
                    conn.close()
        except (OSError, ConnectionError, struct.error, IndexError):
            sock.close()

    def check(self, version, role, b):
        lowest = b[40] if len(b) > 40 else version
        if lowest == 0 or lowest > version:
            lowest = version
        if not (lowest <= 2 <= version) and BROKEN != "any-version":
            return 1, 0
        at = 42 + b[41]
        codec, ring = b[42:at], b[at + 1:at + 1 + b[at]]
        if len(ring) != b[at]:
            raise ConnectionError("cut short")
        if ring != b"ring":
            return 2, 0
        if codec != b"json":
            return 3, 0
        if role == 3:
            token = self.token if BROKEN != "no-token" else 0
            return 0, int.from_bytes(hmac.digest(token.to_bytes(8, "big"), b[32:40], "sha256")[:8], "big")
        if role != 2:
            return 5, 0
        fid, finc, tid, tinc = struct.unpack(">QQQQ", b[:32])
        deadline = time.time() + 2
        while (self.inc == 0 or tinc > self.inc) and time.time() < deadline:
            time.sleep(0.01)
        with self.lock:
            if BROKEN == "any-identity":
                return 0, 0
            if BROKEN == "same-life" and tinc < self.inc:
                return 0, 0
            if self.inc == 0 or (tid, tinc) != (self.id, self.inc) or fid == self.id or fid >> self.terms["bits"]:
                return 4, 0
            if self.is_over(fid, finc):
                return 4, 0
        return 0, 0

    def is_over(self, id, inc):
        return any(o["id"] == id and o["inc"] >= inc for o in self.over)

    def lost(self, conn):
        with self.lock:
            if conn in self.conns:
                self.conns.remove(conn)

    def link(self, id):
        for c in self.conns:
            if c.peer[0] == id and c.ours and not c.closed:
                return c
        return None

    # --- the registry ------------------------------------------------------------------------

    def tell(self, t, **fields):
        b = json.dumps(fields).encode()
        try:
            with self.lock:
                self.ctl.sendall(struct.pack(">I", t << 24 | len(b)) + b)
        except (OSError, AttributeError):
            pass

    def main(self):
        wait = 0.05
        while True:
            try:
                self.ctl, self.beats = dial(self.registry, 1), 0
                with self.lock:
                    on, self.asking = self.inc != 0, True
                    self.tell(REGISTER, addr=self.addr, other=False, traffic=True, token=self.token, seen=self.seen,
                              want=self.id is not None or self.want_id is not None, id=self.id or self.want_id or 0, inc=self.inc,
                              identity=self.identity, epoch=self.epoch if on else 0, size=0, plan=0, ready=self.ready, run=self.run,
                              over=self.over[-64:], every=1)
                self.control()
            except Broken as e:
                self.tell(VIOLATION, code=e.rule, rule=f"R{e.rule}", text=str(e))
            except (OSError, ConnectionError, ValueError, KeyError, TypeError, AttributeError):
                pass
            if self.ctl:
                self.ctl.close()
            time.sleep(wait)
            wait = min(2 * wait, 1)

    def control(self):
        while True:
            head = exactly(self.ctl, 4)
            t, body = head[0], exactly(self.ctl, int.from_bytes(head[1:], "big"))
            if 0x80 <= t <= 0xBF:
                continue
            try:
                m = json.loads(body)
                if not isinstance(m, dict):
                    raise ValueError("no object")
            except ValueError as e:
                raise Broken(30, str(e))
            with self.lock:
                self.message(t, m)

    def message(self, t, m):
        if self.asking and t not in (REGISTERED, REFUSED, BYE, VIOLATION) and BROKEN != "any-order":
            raise Broken(32, "the answer to Register is due")
        if t == REGISTERED:
            self.check_terms(m)
            on, self.asking, self.asleep = self.inc != 0, False, 0
            self.id, self.inc, self.terms = m["id"], m["inc"], m
            self.seen = max(self.seen, self.inc)
            self.beat_every = m["lease_ms"] / (1000 if BROKEN == "rare-beat" else 3000)
            self.next_beat, self.fresh_epoch = 0, not on
        elif t == REFUSED and m["code"] == 8:
            if BROKEN != "lives-on":
                conns, self.want_id, last = self.conns, self.id, self.over
                for c in list(conns):
                    c.close()
                self.reset()
            raise ConnectionError("this life is over")
        elif t == REFUSED:
            raise ConnectionError(m["reason"])
        elif t == MANIFEST:
            self.check_table(m["epoch"], m.get("entries") or [], m.get("successors") or [])
            self.identity = m["identity"] if BROKEN == "any-ring" else self.identity or m.get("identity", "")
            self.epoch, self.table, self.succ = m["epoch"], m.get("entries") or [], m.get("successors") or []
            self.others = dict(zip(m.get("others") or [], m.get("incs") or []))
            self.idle, self.fresh_epoch, self.failed = set(m.get("idle") or []), True, {}
        elif t == UPDATE:
            table = (self.table + [None] * m["entries"])[:m["entries"]]
            for s in m.get("slots") or []:
                table[s["at"]] = {k: s[k] for k in ("id", "inc", "addr")}
            succ = m.get("successors") or [] if m.get("new_successors") else self.succ
            self.check_table(m["epoch"], table, succ)
            self.epoch, self.table, self.succ, self.failed = m["epoch"], table, succ, {}
            self.gone(m.get("gone") or [])
        elif t == ANNOUNCE:
            for ref in (m.get("left") or []) + (m.get("gone") or []):
                if self.others.get(ref["id"], ref["inc"] + 1) <= ref["inc"]:
                    del self.others[ref["id"]]
            self.gone(m.get("gone") or [])
            self.others.update((i, n) for i, n in zip(m.get("added") or [], m.get("incs") or []) if i != self.id)
            self.idle |= set(m.get("idle") or [])
        elif t == READY:
            self.ready = True
        elif t == BEATANSWER:
            self.beat_answered = time.time()
            self.beats, self.asleep = max(self.beats - 1, 0), max(self.asleep - 1, 0)
        elif t == PINGCTL:
            if BROKEN != "no-beat":
                self.beat()
        elif t == TASK:
            self.start(m)
        elif t == COLLECT:
            if not self.summary or self.summary["run"] != m["run"]:
                self.collect(m["run"])
            self.tell(SUMMARY, **self.summary)
        elif t == EXPLAIN:
            ok = self.summary and self.summary["run"] == m["run"]
            self.tell(PAIRS, run=m["run"], sent=self.pairs[0] if ok else [], received=self.pairs[1] if ok else [])
        elif t == TRACECTL:
            self.tell(TRACEDCTL, ask=m["ask"], hops=[], error="this node traces nothing", no_such_node=False)
        elif t == DEREGISTERED:
            self.leave()
        elif t in (BYE, VIOLATION):
            raise ConnectionError(m)
        else:
            raise Broken(31 if 0x40 <= t <= 0x59 else 10, f"type {t:#x}")

    def check_terms(self, m):
        limits = dict(bits=(1, 64), max_payload=(4, 8388608), hop_limit=(1, 65535), lease_ms=(1, 86400000), inc=(1, 7 << 60))
        if BROKEN != "any-terms" and (any(not low <= m.get(k, 0) <= high for k, (low, high) in limits.items()) or m["id"] >> m["bits"]):
            raise Broken(33, str(m))

    def paused(self):
        """Whether this process did not run for longer than a lease, and has not asked yet. It asks."""
        now = time.time()
        if self.inc and now - self.awake > self.terms["lease_ms"] / 1000 and BROKEN != "no-ask":
            self.awake = now
            self.beat()
            self.asleep = self.beats
        self.awake = now
        return self.asleep > 0

    def check_table(self, epoch, table, succ):
        if BROKEN == "any-table":
            return
        for peers in table, succ:
            last = 0
            for p in peers:
                d = (p["id"] - self.id) % (1 << self.terms["bits"])
                if d <= last or p["id"] >> self.terms["bits"]:
                    raise Broken(34, "out of order")
                last = d
        if epoch <= self.epoch:
            raise Broken(34, "old epoch")

    def gone(self, refs):
        for ref in refs:
            self.over.append(dict(id=ref["id"], inc=ref["inc"], epoch=self.epoch))
            for c in list(self.conns):
                if c.peer[0] == ref["id"] and c.peer[1] <= ref["inc"] and BROKEN != "keeps-gone":
                    c.close()
            s = self.sources.pop(ref["id"], None)
            if s:
                s.finish()
                self.account(s)

    def beat(self):
        self.next_beat, self.beats = time.time() + self.beat_every, self.beats + 1
        self.tell(BEAT, every=1, sent=0, received=0, late_ms=0, status=[])

    # --- what must happen in time ---------------------------------------------------------------

    def ticks(self):
        while True:
            time.sleep(0.02)
            with self.lock:
                if not self.terms:
                    self.awake = time.time()
                    continue
                paused = self.paused()
                if time.time() >= self.next_beat and self.inc:
                    self.beat()
                if paused:
                    continue
                self.links()
                for s in list(self.sources.values()):
                    s.tick()
                self.progress()

    def links(self):
        wanted = {(p["id"], p["inc"]): p for p in self.table + self.succ[:1]}
        done = True
        for ref, p in wanted.items():
            if self.link(p["id"]):
                if self.failed.pop(ref, None):
                    self.tell(TROUBLE, id=ref[0], inc=ref[1], error="")
            elif ref not in self.failed:
                done = False
                if ref not in self.dialling:
                    self.dialling.add(ref)
                    threading.Thread(target=self.dial, args=(ref, p["addr"], self.epoch), daemon=True).start()
        if done and self.linked != self.epoch and self.fresh_epoch:
            self.linked = self.epoch
            if BROKEN != "no-linked":
                self.tell(LINKED, epoch=self.epoch, error=", ".join("no link to node %d" % r[0] for r in self.failed))
            for c in list(self.conns):
                if c.ours and c.peer not in wanted:
                    c.end()

    def dial(self, ref, addr, epoch):
        inc = self.inc
        try:
            sock = dial(addr, 2, (self.id, inc), ref)
            with self.lock:
                if inc == self.inc:
                    self.conns.append(Conn(self, sock, ref, True))
                else:  # this life has ended meanwhile
                    sock.close()
        except (OSError, ConnectionError) as e:
            with self.lock:
                if epoch == self.epoch:
                    self.failed[ref] = str(e)
                    if BROKEN != "no-trouble":
                        self.tell(TROUBLE, id=ref[0], inc=ref[1], error=str(e))
        with self.lock:
            self.dialling.discard(ref)

    # --- routing --------------------------------------------------------------------------------

    def dist(self, a, b):
        return (b - a) % (1 << self.terms["bits"])

    def decide(self, dst):
        """The link to the next hop, or "none" if there is no such node, or None to drop."""
        best = None
        for p in self.table:
            if 0 < self.dist(self.id, p["id"]) <= self.dist(self.id, dst) and self.link(p["id"]):
                best = self.link(p["id"])
        if best:
            return best
        if self.epoch and (not self.succ or self.dist(self.id, dst) < self.dist(self.id, self.succ[0]["id"])):
            fresh = time.time() - self.beat_answered < self.terms["lease_ms"] * 0.75e-3
            if self.ready and fresh or BROKEN == "knows-all":
                return "none"
        return None

    def emit(self, f):
        dst = int.from_bytes(f[8:16], "big")
        to = self.decide(dst)
        if isinstance(to, Conn):
            to.put(bytes(f))

    def route(self, f, conn):
        hops = min(int.from_bytes(f[4:6], "big") + (BROKEN != "no-hops"), 65535)
        f[4:6] = hops.to_bytes(2, "big")
        if self.paused():
            return
        dst, src, seq = struct.unpack(">QQQ", f[8:32])
        if dst == self.id:
            return self.receive(f[0], src, seq, f)
        if not self.epoch:
            return
        if not f[7] & 1 and self.dist(conn.peer[0], self.id) > self.dist(conn.peer[0], dst) and BROKEN != "overshoots":
            return
        if hops >= self.terms["hop_limit"] and BROKEN != "no-limit":
            return self.refuse(f, 2)
        to = self.link(dst) if f[7] & 1 and BROKEN != "own-way" else self.decide(dst)
        if to == "none":
            return self.refuse(f, 1)
        if to is None:
            return
        if BROKEN == "clears-flags":
            f[7] = 0
        to.put(bytes(f))
        if BROKEN == "twice":
            to.put(bytes(f))
        if f[0] == TRACE:
            self.emit(frame(TRACED, src, self.id, seq, struct.pack(">HB", hops, 0)))

    def refuse(self, f, why):
        dst, src, seq = struct.unpack(">QQQ", f[8:32])
        if f[0] in (OPEN, DATA, SYNC, CLOSE, TRACE) or BROKEN == "answers-answers":
            self.emit(frame(NOROUTE, src, self.id, seq, struct.pack(">BBQ", f[0], why, dst), port=f[6] if f[6] < 128 else 0))

    # --- streams --------------------------------------------------------------------------------

    def receive(self, t, src, seq, f):
        body = bytes(f[32:])
        sizes = {OPEN: len(body) if f[6] else 8, OPENED: 28, REFUSE: 17, SYNC: 4, TRACED: 3, NOROUTE: 10}
        if t in sizes and len(body) != sizes[t] or t == ACK and (len(body) < 12 or (len(body) - 12) % 8):
            return
        port = f[6] if f[6] < 128 else 0
        if port and BROKEN != "any-port":
            return self.unserved(t, src, seq, body, port)
        if t != DATA and f[7] & BUNDLE and BROKEN == "strict-flags" and t != OPENED:
            return
        if t == OPEN:
            return self.opening(src, seq, int.from_bytes(body, "big"))
        if t in (DATA, SYNC, CLOSE):
            s = self.sinks.get(src)
            if t == CLOSE:
                if s and not s.stranger(seq):
                    if seq != s.next or s.held:
                        if BROKEN != "close-at-once":
                            return s.ack()
                    del self.sinks[src]
                return self.emit(frame(CLOSED, src, self.id, seq))
            if not s or t == SYNC and s.stranger(seq):
                if BROKEN != "no-reset":
                    self.emit(frame(RESET, src, self.id, seq))
                return
            return s.data(f) if t == DATA else s.sync(seq, int.from_bytes(body, "big"))
        if t == TRACE:
            return self.emit(frame(TRACED, src, self.id, seq, bytes(f[4:6]) + b"\x01"))
        s = self.sources.get(int.from_bytes(body[2:], "big") if t == NOROUTE else src)
        if t == FAREWELL:
            if s and s.state == "open" and s.rcvd <= seq <= s.nxt:
                s.una = seq
                s.waiting = s.pending() + s.waiting
                s.finish(seq)
                self.account(s)
                del self.sources[src]
            elif s:
                return
            if BROKEN != "no-confirm":
                self.emit(frame(CLOSE, src, self.id, seq))
        elif not s:
            if t == OPENED:
                self.emit(frame(CLOSE, src, self.id, int.from_bytes(body[16:24], "big")))
        elif t == OPENED:
            s.opened(seq, body, f[7])
        elif t == ACK:
            s.ack(seq, body)
        elif t == REFUSE and s.state == "opening" and seq == s.gen and body[8] == 2:
            self.drop(s)
        elif t == RESET and s.state == "open" and (s.una <= seq <= s.nxt or BROKEN == "any-reset"):
            self.drop(s)
        elif t == NOROUTE and body[1] == 1 and (s.state == "opening" and seq == s.gen if body[0] == OPEN else s.state == "open" and s.una <= seq <= s.nxt):
            self.drop(s)

    def unserved(self, t, src, seq, body, port):
        """This node has no service but that of port 0, and no stream on another port."""
        port = 0 if BROKEN == "no-port" else port
        if t == OPEN and 8 < len(body) <= 72 and BROKEN != "no-refuse":
            self.emit(frame(REFUSE, src, self.id, seq, body[:8] + struct.pack(">BQ", 4, 0), port=port))
        elif t in (DATA, SYNC):
            self.emit(frame(RESET, src, self.id, seq, port=port))
        elif t == CLOSE:
            self.emit(frame(CLOSED, src, self.id, seq, port=port))

    def drop(self, s):
        s.finish()
        self.account(s)
        del self.sources[s.sink]

    def opening(self, src, gen, inc):
        s = self.sinks.get(src)
        if s and (s.inc, s.gen) == (inc, gen):
            if BROKEN == "new-first":
                s.first = s.next = random.randint(1, 1 << 62)
            return s.opened(gen)
        if s and s.inc > inc and BROKEN != "any-life":
            return self.emit(frame(REFUSE, src, self.id, gen, struct.pack(">QBQ", inc, 3, s.inc)))
        if s and s.inc == inc and s.gen > gen:
            return
        self.sinks[src] = Sink(self, src, inc, gen)
        self.sinks[src].opened(gen)

    # --- traffic runs ---------------------------------------------------------------------------

    def deliver(self, f, message):
        if f[6] >= 128 and len(message) >= 4:
            c = self.counts.setdefault(f[6], [0, 0, 0, 0, {}])
            value = struct.unpack(">i", message[:4])[0]
            hops = int.from_bytes(f[4:6], "big")
            c[0] += 1
            c[1] += value
            c[2] += hops
            c[3] = max(c[3], hops)
            pair = c[4].setdefault(int.from_bytes(f[16:24], "big"), [0, 0])
            pair[0] += 1
            pair[1] += value

    def start(self, m):
        run, n = m["run"], m.get("messages", 0)
        if run < self.run or run == self.run and self.task:
            if self.task and self.task["finished"]:
                self.tell(FINISHED, run=run, error="")
            return
        self.run = run
        self.counts = {p: c for p, c in self.counts.items() if p == 128 + run % 128}
        self.task = dict(run=run, finished=False, sent={}, unknown={})
        sinks = [i for i in self.others if i not in self.idle]
        for _ in range(n if sinks else 0):
            sink, value = random.choice(sinks), random.getrandbits(31)
            s = self.sources.get(sink)
            if not s:
                s = self.sources[sink] = Source(self, sink)
            pair = self.task["sent"].setdefault(sink, [0, 0])
            pair[0] += 1
            pair[1] += value
            s.waiting.append((struct.pack(">i", value) + bytes(m["payload"] - 4), 128 + run % 128))
        for s in self.sources.values():
            s.pump()

    def account(self, s):
        if self.task:
            for b in s.unknown:
                pair = self.task["unknown"].setdefault(s.sink, [0, 0])
                pair[0] += 1
                pair[1] += struct.unpack(">i", b[:4])[0]

    def progress(self):
        t = self.task
        idle = all(s.state == "open" and not s.waiting and s.una == s.nxt for s in self.sources.values())
        if t and not t["finished"] and (idle or BROKEN == "hasty"):
            t["finished"] = True
            self.tell(FINISHED, run=t["run"], error="")

    def collect(self, run):
        sent, unknown = (self.task["sent"], self.task["unknown"]) if self.task and self.task["run"] == run else ({}, {})
        c = self.counts.pop(128 + run % 128, [0, 0, 0, 0, {}])
        total = lambda d, i: sum(v[i] for v in d.values())
        self.summary = dict(run=run, sent=total(sent, 0), received=c[0], relayed=0, wasted=0, sum_sent=total(sent, 1), sum_received=c[1],
                            unknown=total(unknown, 0), sum_unknown=total(unknown, 1), hops=c[2], max_hops=c[3])
        pair = lambda i, v, u=(0, 0): dict(id=i, n=v[0], sum=v[1], unknown=u[0], sum_unknown=u[1])
        self.pairs = [pair(i, v, unknown.get(i, (0, 0))) for i, v in sent.items()], [pair(i, v) for i, v in c[4].items()]
        self.counts = {}

    # --- the end --------------------------------------------------------------------------------

    def deregister(self):
        self.leaving = True
        with self.lock:
            self.tell(DEREGISTER, id=self.id, addr=self.addr)

    def leave(self):
        for c in list(self.conns):
            c.end()
        threading.Timer(0.3, lambda: os._exit(0)).start()


if __name__ == "__main__":
    node = Node(sys.argv[1])
    signal.signal(signal.SIGINT, lambda *_: threading.Thread(target=node.deregister).start())
    threading.Thread(target=node.main, daemon=True).start()
    while True:
        time.sleep(3600)
