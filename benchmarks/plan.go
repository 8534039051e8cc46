package main

import (
	"fmt"
	"regexp"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/load"
	"github.com/x/ringdht/benchmarks/internal/process"
	"github.com/x/ringdht/benchmarks/internal/systems/broadcast"
	"github.com/x/ringdht/benchmarks/internal/systems/calls"
	"github.com/x/ringdht/benchmarks/internal/systems/grpc"
	"github.com/x/ringdht/benchmarks/internal/systems/heap"
	"github.com/x/ringdht/benchmarks/internal/systems/jetstream"
	"github.com/x/ringdht/benchmarks/internal/systems/libp2p"
	"github.com/x/ringdht/benchmarks/internal/systems/nats"
	"github.com/x/ringdht/benchmarks/internal/systems/reference"
	"github.com/x/ringdht/benchmarks/internal/systems/ringdht"
	"github.com/x/ringdht/benchmarks/internal/systems/structs"
)

// systems lists all systems, the references first. The first of them that supports a row is
// its reference.
var systems = []bench.System{
	reference.Raw(), reference.Relay(), reference.Ideal(), reference.OneWay(),
	reference.RawStretches(), reference.RelayStretches(), reference.IdealStretches(),
	ringdht.New(), ringdht.Cast(), nats.New(), heap.With(nats.New(), best),
	jetstream.New(), jetstream.Batched(), heap.With(jetstream.Batched(), best),
	grpc.New(), grpc.Batched(), libp2p.New(), structs.New(),
}

// best is the garbage collection target at which NATS does best.
const best = 800

// references is the number of references.
const references = 7

// largest is the largest ring of the systems that small matches: setting up a larger one takes
// longer than measuring it.
const largest = 32

var small = regexp.MustCompile("^(NATS JetStream|gRPC|libp2p|struct)")

// section is a table to measure.
type section struct {
	title, note, x string
	delays         bool // measure delays and not throughput
	load           load.Load
	rows           []row
}

// row is one or more lines of the table.
type row struct {
	load     load.Load // its own load, or nil
	topology bench.Topology
	group    string
	x        float64
	name     string
	entrants []entrant // if nil: every system that supports the topology
}

// entrant is what takes its turn in each round of a row.
type entrant struct {
	name     string
	system   bench.System
	topology bench.Topology
}

// scope is the size of the measurement.
type scope struct {
	payloads       []int // bytes
	chains, rings  []int // nodes
	rates          []int // offered in open loops, in messages per second over all nodes
	growth         []int // offered to a small ring and to a large one
	warm, duration time.Duration
}

// full measures everything, documented what docs/performance.md shows, and brief the least that
// shows that everything works.
var (
	full = scope{
		payloads: []int{8, 256, 4096}, chains: []int{2, 3, 5}, rings: []int{2, 10, 32, 100},
		rates: []int{20_000, 200_000, 1_000_000, 4_000_000}, growth: []int{50_000},
	}
	documented = scope{
		payloads: []int{8, 256, 4096}, chains: []int{2, 3}, rings: []int{10, 32, 100},
		rates: []int{20_000, 200_000, 1_000_000, 4_000_000}, growth: []int{50_000},
	}
	brief = scope{
		payloads: []int{256}, chains: []int{2, 3}, rings: []int{10}, rates: []int{20_000}, growth: []int{20_000},
		warm: 10 * time.Millisecond, duration: 50 * time.Millisecond,
	}
)

// plan returns everything to measure.
func plan(of scope) []*section {
	closed := load.Closed{Warm: of.warm, Time: of.duration}
	chains := &section{
		title: "Chains",
		note:  "Closed loop: one source, one sink, relays in between; all in one process.",
		x:     "payload, bytes", load: closed,
	}
	for _, nodes := range of.chains {
		chains.payloads(of.payloads, bench.Topology{Shape: bench.Chain, Nodes: nodes})
	}
	rings := &section{
		title: "Rings",
		note:  "Closed loop: all to all, sinks drawn at random; all in one process.",
		x:     "payload, bytes", load: closed,
	}
	for _, nodes := range of.rings {
		rings.payloads(of.payloads, bench.Topology{Shape: bench.Ring, Nodes: nodes})
	}
	processes := &section{
		title: "A process per node",
		note:  "Closed loop: all to all, as above; CPU is that of all processes.",
		x:     "payload, bytes", load: process.Closed(closed),
	}
	processes.payloads(of.payloads, bench.Topology{Shape: bench.Ring, Nodes: 10})
	open := &section{
		title: "Open loop",
		note: "Messages fall due at the offered rate whether or not the system keeps up, and delays count from then; " +
			"the last but two column counts from when Send was called. All in one process.",
		x: "offered, msg/s",
	}
	for _, payload := range of.payloads[:min(2, len(of.payloads))] {
		for _, rate := range of.rates {
			t := bench.Topology{Shape: bench.Ring, Nodes: 10, Payload: payload}
			open.rows = append(open.rows, row{
				load: load.Open{Rate: rate, Warm: of.warm, Time: of.duration}, topology: t, x: float64(rate),
				group: fmt.Sprintf("%s, %d B", shape(t), payload),
				name:  fmt.Sprintf("%s, %d B, %s msg/s", shape(t), payload, short(rate)),
			})
		}
	}
	pingpong := &section{
		title: "Ping-pong",
		note:  "Round trips of one message at a time along a chain, both ends answering from where messages are delivered.",
		load:  load.PingPong{Warm: of.warm, Time: of.duration}, delays: true,
	}
	for _, nodes := range []int{2, 3} {
		t := bench.Topology{Shape: bench.Chain, Nodes: nodes, Payload: 8}
		pingpong.rows = append(pingpong.rows, row{topology: t, group: shape(t), name: shape(t) + ", 8 B"})
	}
	return []*section{chains, rings, processes, open, pingpong, growth(of), requests(of), broadcasts(of)}
}

// requests compares calls: a request, and the answer to it.
func requests(of scope) *section {
	s := &section{
		title:  "Calls",
		note:   "So many calls in flight from the first node of a chain to the last, which answers with the request; all in one process.",
		delays: true,
	}
	for _, nodes := range []int{2, 4} {
		for _, inFlight := range []int{1, 16, 256} {
			t := bench.Topology{Shape: bench.Chain, Nodes: nodes, Payload: 64}
			r := row{
				load: load.Calls{InFlight: inFlight, Warm: of.warm, Time: of.duration}, topology: t,
				name: fmt.Sprintf("%s, %d B, %d in flight", shape(t), t.Payload, inFlight),
			}
			for _, sys := range calls.All() {
				r.entrants = append(r.entrants, entrant{sys.Name(), sys, t})
			}
			s.rows = append(s.rows, r)
		}
	}
	return s
}

// broadcasts compares publishing: one node to all others.
func broadcasts(of scope) *section {
	s := &section{
		title:  "Broadcast",
		note:   "One node publishes to all others, so many messages in flight until the last subscriber has them; all in one process.",
		delays: true,
	}
	for _, nodes := range []int{10, 100} {
		for _, inFlight := range []int{1, 64} {
			t := bench.Topology{Shape: bench.Ring, Nodes: nodes, Payload: 64}
			r := row{
				load: load.Broadcast{InFlight: inFlight, Warm: of.warm, Time: of.duration}, topology: t,
				name: fmt.Sprintf("%d nodes, %d B, %d in flight", nodes, t.Payload, inFlight),
			}
			for _, sys := range broadcast.All() {
				r.entrants = append(r.entrants, entrant{sys.Name(), sys, t})
			}
			s.rows = append(s.rows, r)
		}
	}
	return s
}

// growth compares rings of ringdht with each other: what does a message cost in a large one?
func growth(of scope) *section {
	s := &section{
		title: "Growth",
		note:  "The same messages a second over all nodes, in rings of ten and of a hundred; an open loop.",
	}
	for _, rate := range of.growth {
		t := bench.Topology{Shape: bench.Ring, Nodes: 10, Payload: 256}
		r := row{
			load: load.Open{Rate: rate, Warm: of.warm, Time: of.duration}, topology: t,
			name: fmt.Sprintf("%d B, %s msg/s", t.Payload, short(rate)),
		}
		for _, sys := range []bench.System{ringdht.New(), reference.Ideal()} {
			for _, t.Nodes = range []int{10, 100} {
				r.entrants = append(r.entrants, entrant{fmt.Sprintf("%s, %d nodes", sys.Name(), t.Nodes), sys, t})
			}
		}
		s.rows = append(s.rows, r)
	}
	return s
}

// payloads adds a row for each payload.
func (s *section) payloads(payloads []int, t bench.Topology) {
	for _, payload := range payloads {
		t.Payload = payload
		s.rows = append(s.rows, row{
			topology: t, x: float64(payload), group: shape(t), name: fmt.Sprintf("%s, %d B", shape(t), payload),
		})
	}
}

func shape(t bench.Topology) string {
	if t.Shape == bench.Chain {
		return fmt.Sprintf("chain of %d", t.Nodes)
	}
	return fmt.Sprintf("ring of %d", t.Nodes)
}

func short(rate int) string {
	if rate >= 1_000_000 {
		return fmt.Sprintf("%d M", rate/1_000_000)
	}
	return fmt.Sprintf("%d k", rate/1_000)
}
