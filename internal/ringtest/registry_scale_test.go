package ringtest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// The registry runs in a process of its own, over TCP. Its nodes are puppets: they do nothing
// but talk to it. By default the test has 200 of them and checks the costs that must not grow.
// A flag sets their number and prints the figures of docs/scale.md.
//
//	go test -run RegistryCosts -v ./internal/ringtest -scale 10000
func TestRegistryCosts(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere not all of 127.0.0.0/8 is this machine")
	}
	size := 200
	if *scale > 0 {
		size = *scale
	}
	const lease = 30 * time.Second // so that nodes on a busy machine do not look dead
	g := newPuppets(t, lease)
	empty := g.ask("memory")

	was := g.ask("cpu")
	start := time.Now()
	g.joinMany(size)
	took, now := time.Since(start), g.ask("cpu")
	t.Logf("%d registrations: %.0f/s, %.0f µs of CPU and %.0f bytes each", size, float64(size)/took.Seconds(),
		now.cpuSince(was)/float64(size), float64(g.read.Load()+g.written.Load())/float64(size))

	was, bytes := g.ask("cpu"), g.read.Load()
	start = time.Now()
	g.ask("setup")
	took, now = time.Since(start), g.ask("cpu")
	t.Logf("set-up of %d: all tables are sent and confirmed after %v, %.0f ms of CPU, %.0f bytes to each", size, took.Round(time.Millisecond),
		now.cpuSince(was)/1e3, float64(g.read.Load()-bytes)/float64(size))
	full := g.ask("memory")
	t.Logf("memory: %.1f KiB a member", float64(full.Memory-empty.Memory)/float64(size)/1024)

	const times = 20
	var joinTook, deathTook time.Duration
	var joinBytes, deathBytes int64
	was = g.ask("cpu")
	for range times {
		start, bytes = time.Now(), g.read.Load()
		g.join()
		g.ask("whole") // the newcomer is announced, and all members have confirmed
		joinTook += time.Since(start)
		joinBytes += g.read.Load() - bytes
	}
	now = g.ask("cpu")
	t.Logf("join: %v, %.1f ms of CPU, %.0f bytes to all", (joinTook / times).Round(10*time.Microsecond), now.cpuSince(was)/times/1e3, float64(joinBytes)/times)
	was = g.ask("cpu")
	for i := range times {
		start, bytes = time.Now(), g.read.Load()
		g.kill(i * len(g.all) / times)
		g.ask(fmt.Sprint("members ", size+times-i-1))
		g.ask("whole")
		deathTook += time.Since(start)
		deathBytes += g.read.Load() - bytes
	}
	now = g.ask("cpu")
	t.Logf("death: %v, %.1f ms of CPU, %.0f bytes to all", (deathTook / times).Round(10*time.Microsecond), now.cpuSince(was)/times/1e3, float64(deathBytes)/times)
	if each := float64(joinBytes+deathBytes) / (2 * times) / float64(size); each > 200 {
		t.Errorf("a join or a death sends %.0f bytes to each member", each)
	}

	start, bytes = time.Now(), g.read.Load()
	was = g.ask("cpu")
	g.ask("settle")
	now = g.ask("cpu")
	t.Logf("long entries put right after %v: %.0f ms of CPU, %.0f bytes to each", time.Since(start).Round(time.Millisecond),
		now.cpuSince(was)/1e3, float64(g.read.Load()-bytes)/float64(size))

	g.heartbeats("of quiet nodes", 1, 3*time.Second, nil)
	if *scale > 0 {
		g.heartbeats("of quiet nodes", 2, 3*time.Second, nil) // the default
		g.heartbeats("of busy nodes", 2, 3*time.Second, busyStatus(10))
		g.heartbeats("of quiet nodes", 2, 30*time.Second, nil)
	}
}

// heartbeats measures so many heartbeats of each puppet. Their interval is that of a ring of
// this size with this lease.
func (g *puppets) heartbeats(whose string, rounds int, lease time.Duration, status []control.Status) {
	g.t.Helper()
	pace := max(1, math.Ceil(3*float64(len(g.all))/lease.Seconds()/membership.MaxBeats))
	every := time.Duration(pace) * lease / 3
	was, start := g.ask("cpu"), time.Now()
	sent := g.beat(rounds, every, control.Beat{Every: 1, Status: status})
	cpu, took := g.ask("cpu").cpuSince(was), time.Since(start)
	g.t.Logf("heartbeats %s with a lease of %v, one every %v: %d in %v, %.1f µs of CPU each: %.1f %% of a core", whose, lease, every, sent,
		took.Round(time.Millisecond), cpu/float64(sent), cpu/1e4/took.Seconds())
}

// busyStatus returns the status of a node with k entries during traffic.
func busyStatus(k int) []control.Status {
	s := status.Node{Epoch: 12, Members: 10000, Hops: make([]int64, 12), Latency: status.Histogram{Counts: make([]int64, 18), Sum: time.Hour}}
	for _, c := range []reflect.Value{reflect.ValueOf(&s.Counters).Elem(), reflect.ValueOf(&s.Counters.Dropped).Elem()} {
		for _, f := range c.Fields() {
			if f.CanInt() {
				f.SetInt(1 << 30)
			}
		}
	}
	for i := range s.Hops {
		s.Hops[i] = 1 << 24
	}
	for i := range s.Latency.Counts {
		s.Latency.Counts[i] = 1 << 16
	}
	for i := range k {
		s.Links = append(s.Links, status.Link{To: ringdht.ID(1000 * i), Up: true, Bytes: 1 << 34, Queued: 1 << 16})
	}
	return []control.Status{control.Pack(&s)}
}

// puppets are connections to a registry in another process.
type puppets struct {
	t        *testing.T
	addr     string
	port     int // at which all of them are dialled
	in       io.WriteCloser
	out      *json.Decoder
	listener net.Listener
	all      []*puppet
	beats    atomic.Int64 // that were answered
	read     atomic.Int64 // bytes, by all puppets
	written  atomic.Int64 // the same
	wg       sync.WaitGroup

	services []string // that each registers
	uses     []string // of which it wants the members
}

type puppet struct {
	conn *control.Conn
	gone atomic.Bool
}

// figures are the measurements of the registry's process.
type figures struct {
	Addr   string
	CPU    time.Duration
	Memory uint64 // heap and stacks
	Peak   uint64 // of the process
	Made   uint64 // bytes ever allocated
	Error  string
}

// cpuSince returns microseconds.
func (f figures) cpuSince(before figures) float64 {
	return float64(f.CPU-before.CPU) / 1e3
}

const registryRole = "RINGDHT_TEST_REGISTRY"

func newPuppets(t *testing.T, lease time.Duration) *puppets {
	t.Helper()
	g := &puppets{t: t}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), registryRole+"="+lease.String())
	cmd.Stderr = os.Stderr
	g.in, _ = cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	g.out = json.NewDecoder(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// All of 127.0.0.0/8 is this machine. So each puppet has an address of its own, and one
	// listener answers for all.
	var err error
	if g.listener, err = net.Listen("tcp4", "0.0.0.0:0"); err != nil {
		t.Fatal(err)
	}
	g.port = g.listener.Addr().(*net.TCPAddr).Port
	g.wg.Go(g.answerProbes)
	t.Cleanup(func() {
		g.in.Close()
		g.listener.Close()
		for _, p := range g.all {
			p.gone.Store(true)
			p.conn.Close()
		}
		g.wg.Wait()
		cmd.Wait()
	})
	g.addr = g.ask("listen").Addr
	return g
}

// puppetToken returns the token with which the puppet at an address answers a probe.
func puppetToken(ip net.IP) uint64 {
	ip = ip.To4()
	return uint64(ip[1])<<16 | uint64(ip[2])<<8 | uint64(ip[3])
}

func (g *puppets) answerProbes() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.wg.Go(func() {
			defer conn.Close()
			h, err := wire.ReadHello(conn)
			if err != nil {
				return
			}
			at := puppetToken(conn.LocalAddr().(*net.TCPAddr).IP)
			if g.all[at-1].gone.Load() {
				at = 0
			}
			conn.Write(wire.Answer{Token: handshake.ProbeAnswer(at, h.Token)}.Append(nil))
		})
	}
}

// ask sends a command to the registry's process and waits until it is done.
func (g *puppets) ask(what string) (f figures) {
	g.t.Helper()
	fmt.Fprintln(g.in, what)
	if err := g.out.Decode(&f); err != nil || f.Error != "" {
		g.t.Fatalf("%s: %v %s", what, err, f.Error)
	}
	return f
}

// joinMany registers n puppets, 64 at a time.
func (g *puppets) joinMany(n int) {
	g.t.Helper()
	for range n {
		g.all = append(g.all, &puppet{})
	}
	turn := make(chan int)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := range turn {
				if err := g.register(i); err != nil {
					g.t.Error(err)
				}
			}
		})
	}
	for i := range n {
		turn <- len(g.all) - n + i
	}
	close(turn)
	wg.Wait()
	if g.t.Failed() {
		g.t.FailNow()
	}
}

func (g *puppets) join() { g.t.Helper(); g.joinMany(1) }

// register registers puppet i. From then on the puppet confirms each table that it is told.
func (g *puppets) register(i int) error {
	c := handshake.Config{Codec: ringdht.Msgpack(), Transport: ringdht.TCP{}, RingName: "ring", Timeout: time.Minute}
	conn, _, _, err := c.Dial(context.Background(), g.addr, wire.Hello{Role: wire.RoleMember})
	if err != nil {
		return err
	}
	p := g.all[i]
	p.conn = control.NewConn(counted{conn, g}, c.Codec, wire.MaxLength+wire.PrefixSize)
	at := i + 1
	ip := net.IPv4(127, byte(at>>16), byte(at>>8), byte(at))
	p.conn.Send(control.TypeRegister, control.Register{Addr: net.JoinHostPort(ip.String(), fmt.Sprint(g.port)), Other: true, Traffic: len(g.services) == 0, Token: puppetToken(ip), Services: g.services, Uses: g.uses})
	t, body, err := p.conn.Recv()
	if err == nil && t != control.TypeRegistered {
		err = fmt.Errorf("answer of type %d: %q", t, body)
	}
	if err != nil {
		return err
	}
	g.wg.Go(func() {
		defer p.conn.Free()
		for {
			t, body, err := p.conn.Recv()
			if err != nil {
				return
			}
			switch t {
			case control.TypeManifest, control.TypeUpdate:
				var told struct {
					Epoch uint64 `json:"epoch"`
				}
				if err := p.conn.Decode(body, &told); err != nil {
					g.t.Error(err)
				}
				p.conn.Send(control.TypeLinked, control.Linked{Epoch: told.Epoch})
			case control.TypeBeatAnswer:
				g.beats.Add(1)
			}
		}
	})
	return nil
}

// kill ends a puppet in the way a crash does.
func (g *puppets) kill(i int) {
	g.all[i].gone.Store(true)
	g.all[i].conn.Close()
}

// beat makes every puppet send this many heartbeats, evenly spread. It waits for the answers.
func (g *puppets) beat(rounds int, every time.Duration, beat control.Beat) (sent int64) {
	g.t.Helper()
	const slices = 100
	begin := g.beats.Load()
	tick := time.NewTicker(every / slices)
	defer tick.Stop()
	for range rounds {
		for s := range slices {
			<-tick.C
			for i := s; i < len(g.all); i += slices {
				if p := g.all[i]; !p.gone.Load() {
					p.conn.Send(control.TypeBeat, beat)
					sent++
				}
			}
		}
	}
	for deadline := time.Now().Add(time.Minute); g.beats.Load() < begin+sent; {
		if time.Now().After(deadline) {
			g.t.Fatalf("%d of %d heartbeats were answered", g.beats.Load()-begin, sent)
		}
		time.Sleep(time.Millisecond)
	}
	return sent
}

// counted is a connection that counts its bytes.
type counted struct {
	net.Conn
	g *puppets
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.g.read.Add(int64(n))
	return n, err
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.g.written.Add(int64(n))
	return n, err
}

// registryProcess is the main function of the other process. It reads commands, one a line.
func registryProcess(lease string) {
	d, err := time.ParseDuration(lease)
	if err != nil {
		panic(err)
	}
	r, err := ringdht.NewRegistry(ringdht.WithLease(d))
	if err != nil {
		panic(err)
	}
	defer r.Close()
	ctx := context.Background()
	var addr string
	answers := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var f figures
		var n int
		var err error
		switch line := lines.Text(); line {
		case "listen":
			var a net.Addr
			if a, err = r.Listen(ctx, "127.0.0.1:0"); err == nil {
				addr = a.String()
			}
		case "memory":
			m := heap()
			f.Memory, f.Peak, f.Made = m.used(), residentPeak(), m.TotalAlloc
		case "setup":
			_, err = r.Setup(ctx, 0)
		case "settle":
			err = r.WaitSettled(ctx)
		case "whole":
			err = ringtest.RegistryOf(r).Await(ctx, func() bool { return len(ringtest.RegistryOf(r).Authority().Unsettled()) == 0 })
		case "cpu":
		default:
			if _, err = fmt.Sscanf(line, "members %d", &n); err == nil {
				err = ringtest.RegistryOf(r).Await(ctx, func() bool { return ringtest.RegistryOf(r).Authority().Len() == n })
			}
		}
		f.Addr, f.CPU = addr, ringtest.CPUTime()
		if err != nil {
			f.Error = err.Error()
		}
		answers.Encode(f)
	}
}
