package registry_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// impostor is a process that is no node, but answers probes with the proof of a token. Its Register is
// accepted.
type impostor struct {
	token atomic.Uint64
	addr  string
}

// newImpostor listens on a transport until the test ends.
func newImpostor(t *testing.T, tr ringdht.Transport, addr string) *impostor {
	t.Helper()
	l, err := tr.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &impostor{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if h, err := wire.ReadHello(c); err == nil {
				c.Write(wire.Answer{Token: handshake.ProbeAnswer(p.token.Load(), h.Token)}.Append(nil))
			}
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return p
}

// register makes the impostor a member, over a connection of its own.
func (p *impostor) register(t *testing.T, tr *ringtest.Ring, token uint64) (ringtest.RawConn, control.Registered) {
	t.Helper()
	p.token.Store(token)
	m := tr.DialRaw(t)
	if err := m.Send(control.TypeRegister, control.Register{Addr: p.addr, Token: token}); err != nil {
		t.Fatal(err)
	}
	ty, body, err := m.Recv()
	var got control.Registered
	if err == nil && ty == control.TypeRegistered {
		err = m.Decode(body, &got)
	}
	if err != nil || ty != control.TypeRegistered {
		t.Fatalf("type %d, %v: %s", ty, err, body)
	}
	return m, got
}

// usage is what a process uses.
type usage struct{ goroutines, files, heap int }

// used measures what this process uses now.
func used() (u usage) {
	runtime.GC()
	runtime.GC() // empties what pools had kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd")
	return usage{runtime.NumGoroutine(), len(files), int(m.HeapAlloc)}
}

// frame makes a control frame of any body.
func frame(t wire.Type, body []byte) []byte {
	b := append(wire.AppendControl(nil, t), body...)
	binary.BigEndian.PutUint32(b, uint32(t)<<24|uint32(len(body)))
	return b
}

// nilList is a message with a list of n nil elements.
func nilList(field string, n int) []byte {
	b := append([]byte{0x81, 0xa0 | byte(len(field))}, field...)
	b = binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
	return append(b, bytes.Repeat([]byte{0xc0}, n)...)
}

// sendRaw sends bytes after a member's hello, and reads until the registry hangs up.
func sendRaw(t *testing.T, tr hostile, b []byte) (answer []byte) {
	t.Helper()
	conn, _, _, err := tr.dials.Dial(tr.Ctx(), tr.Addr, wire.Hello{Role: wire.RoleMember})
	if err != nil {
		t.Error(err)
		return nil
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	go conn.Write(b)
	answer, _ = io.ReadAll(conn)
	return answer
}

// totalAllocated returns how many bytes this process allocates while f runs.
func totalAllocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// refusalOf registers over a new connection, and returns the refusal and how long it took.
func refusalOf(t *testing.T, tr *ringtest.Ring, req control.Register) (string, time.Duration) {
	t.Helper()
	m := tr.DialRaw(t)
	defer m.Close()
	start := time.Now()
	r := m.Ask(control.TypeRegister, req)
	if r == nil {
		t.Errorf("%s was admitted", req.Addr)
		return "", 0
	}
	return strings.ReplaceAll(r.Reason, req.Addr, "ADDR"), time.Since(start)
}

// strangersTime is how long a handshake may take. Members, too, must join and link within it, on a busy
// machine.
const strangersTime = 5 * time.Second

// hostile is a ring under attack, over TCP.
type hostile struct {
	*ringtest.Ring
	log   *ringtest.Log
	dials *handshake.Config // of a stranger at the registry
}

// attacks has the rows of the table of attacks, by what a stranger or a member sends. Each failed once.
var attacks = []struct {
	row, name string
	run       func(t *testing.T, tr hostile)
}{
	{"D1", "30 Registers of 2 MiB, of nil elements", func(t *testing.T, tr hostile) {
		bytes := frame(control.TypeRegister, nilList("over", 2<<20))
		cost := totalAllocated(func() {
			var wg sync.WaitGroup
			for range 30 {
				wg.Go(func() { sendRaw(t, tr, bytes) })
			}
			wg.Wait()
		})
		if cost > 8<<20 {
			t.Errorf("they cost %d MiB", cost>>20)
		}
	}},
	{"D1", "Registers that fit, of nil elements", func(t *testing.T, tr hostile) {
		for range 30 {
			sendRaw(t, tr, frame(control.TypeRegister, nilList("over", 4<<10-20)))
		}
		tr.log.WaitFor(t, "before registration", "at most 64 are allowed")
	}},
	{"D1", "8193 bytes before registration", func(t *testing.T, tr hostile) {
		sendRaw(t, tr, frame(control.TypeRegister, make([]byte, 8<<10-3)))
		tr.log.WaitFor(t, "before registration", "rule R11", "8193 bytes")
	}},
	{"D2", "a member's heartbeats of nil elements", func(t *testing.T, tr hostile) {
		for _, n := range []int{100 << 10, 2 << 20} {
			p := newImpostor(t, ringdht.TCP{}, "127.0.0.1:0")
			m, got := p.register(t, tr.Ring, 77)
			bytes := frame(control.TypeBeat, nilList("status", n))
			cost := totalAllocated(func() {
				m.Pass(bytes)
				for err := error(nil); err == nil; {
					_, _, err = m.Recv()
				}
			})
			if cost > uint64(3*len(bytes)+1<<20) { // the test copies them
				t.Errorf("%d KiB for %d", cost>>10, len(bytes)>>10)
			}
			p.token.Store(0) // it is dead at once
			tr.WaitGone(ringdht.ID(got.ID))
		}
	}},
	{"B1", "a newcomer at a member's address, with the answer to a probe as its token", func(t *testing.T, tr hostile) {
		ringtest.OpenOnly(t, "a probe proves the ring's key there, see TestStrangers")
		victim := tr.Nodes[0]
		life := victim.Incarnation()
		for nonce := range uint64(10) {
			conn, answer, _, err := ringtest.DialConfig().Dial(tr.Ctx(), victim.Peer().Addr, wire.Hello{Role: wire.RoleProbe, Token: nonce})
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			if answer.Token == ringtest.NodeOf(victim).Token() {
				t.Error("a probe tells the token")
			}
			for _, token := range []uint64{answer.Token, nonce, 0, handshake.ProbeAnswer(answer.Token, nonce)} {
				reason, _ := refusalOf(t, tr.Ring, control.Register{Addr: victim.Peer().Addr, Token: token})
				if !strings.Contains(reason, "is registered already") {
					t.Error(reason)
				}
			}
		}
		if victim.Incarnation() != life {
			t.Error("the member was thrown out")
		}
	}},
	{"E4", "the registry as an eye", func(t *testing.T, tr hostile) {
		banner, err := net.Listen("tcp", "127.0.0.2:0")
		if err != nil {
			t.Skip("no second loopback address:", err)
		}
		defer banner.Close()
		go func() {
			for {
				c, err := banner.Accept()
				if err != nil {
					return
				}
				c.Write([]byte("220 secret.example ESMTP ready"))
				c.Close()
			}
		}()
		shut, err := net.Listen("tcp", "127.0.0.2:0")
		if err != nil {
			t.Fatal(err)
		}
		shut.Close()
		addrs := []string{banner.Addr().String(), shut.Addr().String(), "no-such-host.invalid:7"}
		texts := make([]string, len(addrs))
		var all sync.WaitGroup // at the same time: each takes the time of a handshake
		for i, addr := range addrs {
			all.Go(func() {
				text, took := refusalOf(t, tr.Ring, control.Register{Addr: addr, Other: true, Token: 1})
				texts[i] = text
				if took < strangersTime {
					t.Errorf("%s: refused after %v", addr, took)
				}
			})
		}
		all.Wait()
		for _, addr := range addrs {
			tr.log.WaitFor(t, "not found at the address", addr)
		}
		if texts[0] != texts[1] || texts[0] != texts[2] || texts[0] == "" {
			t.Errorf("the refusals tell the difference: %q", texts)
		}
		tr.log.WaitFor(t, "not found at the address", "220 secr")
		if text, _ := refusalOf(t, tr.Ring, control.Register{Addr: "no-such-host.invalid:7", Token: 1}); !strings.Contains(text, "but connect from") {
			t.Errorf("a name that was not meant is looked up: %s", text)
		}
	}},
	{"E5", "a flood of nonsense, of refusals and of connections", func(t *testing.T, tr hostile) {
		before := len(tr.log.Text())
		for i := range 300 {
			sendRaw(t, tr, frame(control.TypeRegister, []byte{0xd9, byte(i), byte(i), 'x', byte(i)}))
			refusalOf(t, tr.Ring, control.Register{Addr: fmt.Sprintf("10.0.0.%d:7", i%250+1)})
			refusalOf(t, tr.Ring, control.Register{Addr: fmt.Sprintf("%d", i)})
			c, err := net.Dial("tcp", tr.Addr)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		if n := len(tr.log.Text()) - before; n > 10_000 { // of 1,200 attacks, in a few times ten seconds
			t.Errorf("%d bytes of log", n)
		}
	}},
	{"E9", "a pace that was not granted", func(t *testing.T, tr hostile) {
		p := newImpostor(t, ringdht.TCP{}, "127.0.0.1:0")
		m, got := p.register(t, tr.Ring, 78)
		for _, every := range []int64{1 << 31, 100, math.MaxInt64, math.MinInt64} {
			if err := m.Send(control.TypeBeat, control.Beat{Every: every}); err != nil {
				t.Fatal(err)
			}
			for ty := wire.Type(0); ty != control.TypeBeatAnswer; {
				var err error
				if ty, _, err = m.Recv(); err != nil {
					t.Fatal(err)
				}
			}
			r := ringtest.RegistryOf(tr.Registry)
			r.Locked(func() {
				holder, _ := r.Authority().Holder(got.ID)
				if patience := r.Authority().Timeout(holder.Ref()); patience != 30*time.Second {
					t.Errorf("pace %d: it may be silent for %v", every, patience)
				}
			})
		}
		p.token.Store(0)
		m.Close()
		tr.WaitGone(ringdht.ID(got.ID))
	}},
	{"D8", "one process under several names of its address", func(t *testing.T, tr hostile) {
		p := newImpostor(t, ringdht.TCP{}, "127.0.0.1:0")
		_, port, _ := net.SplitHostPort(p.addr)
		before := len(tr.Registry.Members())
		var last ringtest.RawConn
		for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST", "localhost.", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:127.0.0.1"} {
			p.addr = net.JoinHostPort(host, port)
			last, _ = p.register(t, tr.Ring, 79)
			if n := len(tr.Registry.Members()); n != before+1 {
				t.Errorf("as %s: %d members more", host, n-before)
			}
		}
		p.token.Store(0)
		last.Close()
		if err := tr.Registry.WaitMembers(tr.Ctx(), before); err != nil {
			t.Fatal(err)
		}
	}},
	{"", "a connection that goes on after its member has left", func(t *testing.T, tr hostile) {
		p := newImpostor(t, ringdht.TCP{}, "127.0.0.1:0")
		m, got := p.register(t, tr.Ring, 80)
		if err := m.Send(control.TypeDeregister, control.Deregister{ID: got.ID, Addr: p.addr}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for m.Send(control.TypeBeat, control.Beat{Every: 1}) == nil {
			if time.Since(start) > time.Minute {
				t.Fatal("it has not ended")
			}
			time.Sleep(10 * time.Millisecond)
		}
	}},
}

// Each attack is by raw bytes. After each a run of traffic is exact, and the process uses what it used
// before.
func TestHostile(t *testing.T) {
	if ringtest.RaceEnabled {
		t.Skip("the race detector's memory counts as well")
	}
	tr := hostile{log: ringtest.NewLog()}
	tr.Ring = ringtest.New(t, nil, tr.log.Option(), ringdht.WithHandshakeTimeout(strangersTime))
	for range 4 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	members := tr.Registry.Members()
	exact := func() {
		t.Helper()
		tr.WaitSettled()
		s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 500})
		if err != nil || !s.Exact() {
			t.Fatalf("%v %v", err, s)
		}
	}
	exact()
	tr.dials = ringtest.DialConfig()
	if tr.Secure {
		tr.dials = tr.Insider("127.0.0.1").Config // a newcomer that knows the ring's key, and no secret
	}
	before := used()
	for _, a := range attacks {
		t.Run(strings.TrimSpace(a.row+" "+a.name), func(t *testing.T) { a.run(t, tr) })
		exact()
		if now := tr.Registry.Members(); fmt.Sprint(now) != fmt.Sprint(members) {
			t.Fatalf("%s %s: the members are %v, and were %v", a.row, a.name, now, members)
		}
		var now usage
		ringtest.WaitUntil(t, "what the attack took is given back", func() bool {
			now = used()
			return now.goroutines <= before.goroutines && now.files <= before.files && now.heap <= before.heap+2<<20
		})
		t.Logf("%s: %d goroutines, %d files, %d KiB; before %d, %d, %d", a.row, now.goroutines, now.files, now.heap>>10, before.goroutines, before.files, before.heap>>10)
	}
}
