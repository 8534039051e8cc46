package plane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// named are services with these names, behind the one with the empty name. All are handled but those
// with a dash in front.
func named(names ...string) []Service {
	all := []Service{{Handled: true}}
	for _, name := range names {
		bare := strings.TrimPrefix(name, "-")
		all = append(all, Service{Name: bare, Handled: bare == name})
	}
	return all
}

// on makes a frame one of a service's stream.
func on(port uint8, f wire.Frame) wire.Frame {
	f[6] = port
	return f
}

func openNamed(source, inc, gen uint64, port uint8, name string) wire.Frame {
	return on(port, wire.Append(nil, wire.Header{Type: wire.Open, Dst: 20, Src: source, Seq: gen}, wire.OpenBody{Incarnation: inc, Service: name}.Append(nil)))
}

// offerNamed sends an Open for a service, and its first messages with these bodies. It returns the
// first number.
func (r *rig) offerNamed(source, inc, gen uint64, port uint8, name string, bodies ...string) (first uint64) {
	r.t.Helper()
	r.feed(openNamed(source, inc, gen, port, name))
	r.mu.Lock()
	for _, f := range r.got[30] {
		if f.Type() == wire.Opened && f.Dst() == source && f.Seq() == gen && f.Port() == port {
			b, _ := wire.ParseOpened(f.Body())
			first = b.First
		}
	}
	r.mu.Unlock()
	if first == 0 {
		r.t.Fatalf("%q is not opened", name)
	}
	for i, body := range bodies {
		r.feed(on(port, wire.Append(nil, wire.Header{Type: wire.Data, Dst: 20, Src: source, Seq: first + uint64(i)}, []byte(body))))
	}
	return first
}

// handled collects what the handlers of a rig receive, by the name of the service.
type handled struct {
	mu   sync.Mutex
	all  []string
	wait chan struct{} // handlers of the service "slow" wait for it
}

func (h *handled) config(c *Config) {
	services := c.Services
	c.Deliver = func(ctx context.Context, d *Delivery) {
		name := services[d.Service].Name
		if name == "slow" {
			<-h.wait
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all = append(h.all, fmt.Sprintf("%s %d %s", name, d.Source, d.Body))
	}
}

// are checks what was handled since the last call.
func (h *handled) are(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.all, want) {
		t.Errorf("handled %q, want %q", h.all, want)
	}
	h.all = nil
}

// A source binds its ports to services as it likes, and answers have its port.
func TestServicesByName(t *testing.T) {
	var h handled
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		first := r.offerNamed(40, 5, 1, 9, "b", "1")
		r.offerNamed(40, 5, 2, 3, "a", "2")
		r.offer(40, 5, 3)
		r.offerNamed(50, 1, 1, 3, "b", "3")
		h.are(t, "b 40 1", "a 40 2", "b 50 3")
		r.mu.Lock()
		clear(r.got)
		r.mu.Unlock()
		body := wire.AppendRound(nil, 1)
		r.feed(on(9, frame(wire.Sync, 40, first+1, body...)), on(9, frame(wire.Close, 40, first+1)), on(8, frame(wire.Data, 40, first)))
		got := r.arrived(30, first+1, first+1, first)
		for i, want := range []struct {
			t    wire.Type
			port uint8
		}{{wire.Ack, 9}, {wire.Closed, 9}, {wire.Reset, 8}} {
			if got[i].Type() != want.t || got[i].Port() != want.port {
				t.Errorf("answer %d is a %v on port %d", i, got[i].Type(), got[i].Port())
			}
		}
		if _, in := r.p.StreamCount(); in != 3 {
			t.Errorf("%d streams, want 3", in)
		}
	}, func(c *Config) { c.Services = named("a", "b") }, h.config)
}

// A sink refuses a stream for a service that it does not know, or does not handle. Names that are too
// long, or missing, are dropped.
func TestUnknownServiceIsRefused(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.feed(openNamed(40, 5, 1, 1, "x"), openNamed(40, 5, 2, 2, "silent"), openNamed(40, 5, 3, 3, "A"))
		for i, f := range r.arrived(30, 1, 2, 3) {
			b, err := wire.ParseRefuse(f.Body())
			if f.Type() != wire.Refuse || int(f.Port()) != i+1 || err != nil || b.Reason != wire.RefuseService || b.SourceIncarnation != 5 {
				t.Errorf("the answer is a %v on port %d: %+v %v", f.Type(), f.Port(), b, err)
			}
		}
		r.feed(openNamed(40, 5, 4, 4, strings.Repeat("n", wire.MaxService+1)), openNamed(40, 5, 5, 5, ""), openNamed(40, 5, 6, 0, "a"))
		r.arrived(30)
		r.dropped(status.Dropped{Unknown: 3, Malformed: 3})
		if _, in := r.p.StreamCount(); in != 0 {
			t.Errorf("%d streams", in)
		}
	}, func(c *Config) { c.Services = named("a", "-silent") })
}

// A source learns that its sink does not know the service: a Send that waits fails, and what was
// accepted before was not handled. The next Send asks anew. Other streams to that sink go on.
func TestUnknownServiceAtTheSource(t *testing.T) {
	var told []Undelivered
	withRig(t, func(t *testing.T, r *rig) {
		told = nil
		routed(r)
		other := r.open(40, 5)
		r.arrived(30, r.p.generation, 1000)
		asked := func(gen uint64) {
			t.Helper()
			f := r.arrived(30, gen)[0]
			b, err := wire.ParseOpen(f.Port(), f.Body())
			if f.Type() != wire.Open || f.Port() != 2 || err != nil || b.Service != "b" || b.Incarnation != 200 {
				t.Errorf("asks with a %v on port %d: %+v %v", f.Type(), f.Port(), b, err)
			}
		}
		refuse := func(gen uint64) wire.Frame {
			return on(2, frame(wire.Refuse, 40, gen, wire.RefuseBody{SourceIncarnation: 200, Reason: wire.RefuseService}.Append(nil)...))
		}
		if err := r.p.Send(t.Context(), 40, 2, []byte("early")); err != nil { // the sink is known
			t.Fatal(err)
		}
		gen := r.p.generation
		asked(gen)
		r.feed(on(0, refuse(gen)), on(1, refuse(gen)), refuse(gen-1)) // of other streams
		if len(told) > 0 {
			t.Fatalf("told %+v", told)
		}
		r.feed(refuse(gen))
		if len(told) != 1 || told[0].Service != 2 || told[0].Messages != 1 || told[0].NotHandled != 1 || !errors.Is(told[0].Err, stream.ErrNoService) {
			t.Fatalf("told %+v", told)
		}
		r.p.SetMembers(nil, nil, false) // now a Send waits for the sink's answer
		done := make(chan error)
		go func() { done <- r.p.Send(t.Context(), 40, 2, []byte("waits")) }()
		synctest.Wait()
		asked(gen + 1)
		r.feed(refuse(gen + 1))
		err := <-done
		if !errors.Is(err, stream.ErrNoService) || !strings.Contains(err.Error(), `node 40 does not handle the service "b"`) {
			t.Error(err)
		}
		go func() { done <- r.p.Send(t.Context(), 40, 2, []byte("again")) }()
		synctest.Wait()
		asked(gen + 2)
		r.feed(on(2, frame(wire.Opened, 40, gen+2, wire.OpenedBody{SourceIncarnation: 200, SinkIncarnation: 5, First: 70, Window: 1000}.Append(nil)...)))
		if err := <-done; err != nil {
			t.Error(err)
		}
		if f := r.arrived(30, 70)[0]; f.Type() != wire.Data || f.Port() != 2 {
			t.Errorf("a %v on port %d", f.Type(), f.Port())
		}
		if other.s.State() != stream.Open || len(told) != 1 {
			t.Errorf("the other stream is %v, told %+v", other.s.State(), told)
		}
	}, func(c *Config) {
		c.Services = named("a", "b")
		c.Services[2].OnUndelivered = func(u Undelivered) { told = append(told, u) }
	})
}

// A later incarnation of a source may give its ports to other services. Each service gets the messages
// of the earlier incarnation first, and none of another service.
func TestPortsOfALaterIncarnation(t *testing.T) {
	var h handled
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		h.wait = make(chan struct{})
		r.offerNamed(40, 5, 1, 1, "slow", "1", "2")
		r.offerNamed(40, 5, 2, 2, "a", "3")
		h.are(t, "a 40 3") // the handler of slow waits
		r.offerNamed(40, 6, 1, 1, "a", "4")
		r.offerNamed(40, 6, 2, 3, "slow", "5")
		h.are(t, "a 40 4")
		r.mu.Lock()
		clear(r.got)
		r.mu.Unlock()
		r.feed(openNamed(40, 5, 3, 2, "slow"), openNamed(40, 5, 4, 7, "b")) // late ones
		for _, f := range r.arrived(30, 3, 4) {
			if b, err := wire.ParseRefuse(f.Body()); err != nil || b.Reason != wire.RefuseOlder || b.Remembered != 6 || f.Port() != 2 && f.Port() != 7 {
				t.Errorf("the answer is a %v on port %d: %+v %v", f.Type(), f.Port(), b, err)
			}
		}
		r.feed(openNamed(40, 6, 1, 3, "b")) // on a port that a later one has got
		r.arrived(30)
		close(h.wait)
		h.are(t, "slow 40 1", "slow 40 2", "slow 40 5")
		// A port that goes to another service, while the stream that had it is busy.
		h.wait = make(chan struct{})
		r.offerNamed(40, 6, 5, 3, "slow", "6")
		r.offerNamed(40, 7, 1, 3, "b", "7")
		h.are(t, "b 40 7")
		if _, in := r.p.StreamCount(); in != 3 { // slow is forgotten when it is done
			t.Errorf("%d streams", in)
		}
		close(h.wait)
		h.are(t, "slow 40 6")
		if _, in := r.p.StreamCount(); in != 2 {
			t.Errorf("%d streams", in)
		}
		r.p.Evict(40, 7)
		if _, in := r.p.StreamCount(); in != 0 || r.p.inboxBytes() != 0 {
			t.Errorf("%d streams, %d bytes", in, r.p.inboxBytes())
		}
	}, func(c *Config) { c.Services = named("a", "b", "slow") }, h.config)
}

// However many ports a member asks for, it has one stream for each service.
func TestFloodOfPorts(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.p.SetMembers([]uint64{40, 50}, []uint64{5, 1}, true)
		for gen := range uint64(400) {
			r.feed(openNamed(40, 5, gen, uint8(gen%127)+1, []string{"a", "b", "x"}[gen%3]))
		}
		if _, in := r.p.StreamCount(); in != 2 {
			t.Errorf("%d streams", in)
		}
		r.offer(50, 1, 1, 0) // another one finds room
	}, func(c *Config) { c.Services, c.Streams = named("a", "b"), 4 })
}

// A source that this node does not know has one stream on trial, and others once a message has come.
func TestOneTrialASource(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.p.SetMembers([]uint64{50}, []uint64{1}, true)
		r.feed(openNamed(40, 5, 1, 1, "a"))
		r.arrived(30, 1)
		r.feed(openNamed(40, 5, 2, 2, "b"), openFrom(40, 5, 3))
		r.arrived(30)
		if n := r.p.trials.Load(); n != 1 {
			t.Errorf("%d on trial", n)
		}
		r.feed(openNamed(50, 1, 1, 1, "a"), openNamed(50, 1, 2, 2, "b")) // a member needs none
		r.arrived(30, 1, 2)
		r.offerNamed(40, 5, 1, 1, "a", "x")
		r.offerNamed(40, 5, 2, 2, "b", "x")
		if n, sharing := r.p.trials.Load(), r.p.sharing.Load(); n != 0 || sharing != 2 {
			t.Errorf("%d on trial, %d share", n, sharing)
		}
	}, func(c *Config) { c.Services = named("a", "b") })
}

// Casts reach the service that they name. Those for an unknown one are dropped and counted.
func TestCastsForServices(t *testing.T) {
	var h handled
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		cast := func(port uint8, body string) wire.Frame { return on(port, frame(wire.Cast, 40, 0, []byte(body)...)) }
		r.feed(cast(0, "0"), cast(1, "\x01a1"), cast(1, "\x01b"), cast(1, "\x01x?"), cast(1, "\x06silent?"), cast(1, "\x01a2"))
		synctest.Wait()
		slices.Sort(h.all)
		h.are(t, " 40 0", "a 40 1", "a 40 2", "b 40 ")
		r.dropped(status.Dropped{Unknown: 2})
		r.feed(cast(1, ""), cast(1, "\x00a"), cast(1, "\x02a"), cast(1, "\x41"+strings.Repeat("n", 99)), cast(2, "\x01a1"), cast(127, "\x01a1"))
		h.are(t)
		r.dropped(status.Dropped{Unknown: 2, Malformed: 6})
		if err := r.p.Cast(t.Context(), 40, 2, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if f := r.arrived(30, 0)[0]; f.Type() != wire.Cast || f.Port() != 1 || string(f.Body()) != "\x01bhello" {
			t.Errorf("%v on port %d: %q", f.Type(), f.Port(), f.Body())
		}
		longest := make([]byte, r.p.MaxPayload-2)
		if err := r.p.Cast(t.Context(), 40, 1, longest); err != nil {
			t.Error(err)
		}
		if err := r.p.Cast(t.Context(), 40, 1, append(longest, 0)); !errors.Is(err, ErrTooLarge) {
			t.Error(err)
		}
		r.arrived(30, 0)
	}, func(c *Config) { c.Services = named("a", "b", "-silent") }, h.config)
}

// A relay's NoRoute ends the stream with its port alone, and relays answer with the port.
func TestNoRouteOfOneService(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		plain := r.open(40, 5)
		r.p.SetMembers([]uint64{40}, nil, false)
		if err := r.p.Send(t.Context(), 40, 1, []byte("x")); err != nil {
			t.Fatal(err)
		}
		o := r.p.findOutbound(40, 1)
		refused := func(port uint8) wire.Frame {
			return on(port, frame(wire.NoRoute, 30, r.p.generation, wire.NoRouteBody{Type: wire.Open, Reason: wire.NoSuchNode, Dst: 40}.Append(nil)...))
		}
		r.feed(refused(0), refused(2))
		if o.s.State() != stream.Opening {
			t.Error("ended for another port")
		}
		r.feed(refused(1))
		if o.s.State() != stream.Ended || plain.s.State() != stream.Open {
			t.Error(o.s.State(), plain.s.State())
		}
		r.mu.Lock()
		clear(r.got)
		r.mu.Unlock()
		for _, port := range []uint8{0, 7, 127, 130} { // 25 does not exist
			r.feed(on(port, wire.Append(nil, wire.Header{Type: wire.Data, Dst: 25, Src: 10, Seq: uint64(port)}, nil)))
			f := r.arrived(30, uint64(port))[0]
			if want := wire.StreamPort(port); f.Type() != wire.NoRoute || f.Port() != want {
				t.Errorf("the answer to port %d is a %v on port %d", port, f.Type(), f.Port())
			}
		}
	}, func(c *Config) { c.Services = named("a") })
}
