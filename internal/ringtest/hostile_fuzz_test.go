package ringtest_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// FuzzHostileLink dials a node of a ring as a peer, over the in-memory network, and sends frames with
// arbitrary fields, or arbitrary bytes. Afterwards the members still reach each other, exactly once,
// and what the node has allocated is bounded by what was sent.
func FuzzHostileLink(f *testing.F) {
	net := memnet.New(1)
	tr := ringtest.New(f, net)
	got := make(chan uint64, 100)
	for range 3 {
		tr.Join(func(_ context.Context, m ringdht.Message) {
			if len(m.Body) == 9 { // others are the attacker's
				got <- binary.BigEndian.Uint64(m.Body[1:])
			}
		})
	}
	tr.Setup(1)
	victim, member, other := tr.Nodes[0], tr.Nodes[1], tr.Nodes[2]
	tr.Exchange(tr.Nodes...)
	r := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		f.Add(data)
	}
	f.Add([]byte{255, byte(wire.Data), 0xff, 0xff, 0xff})
	number := uint64(0)
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), 1000)]
		link := tr.TryLink(victim, ringtest.RefOf(other))
		if link == nil {
			t.Fatal("the link was refused")
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ids := []uint64{uint64(victim.ID()), uint64(victim.ID()), uint64(victim.ID()), uint64(member.ID()), uint64(other.ID()), 77, 1 << 40}
		incs := []uint64{member.Incarnation(), 1, 0, 1<<64 - 1}
		at := func(i int) int {
			if i < len(data) {
				return int(data[i])
			}
			return 0
		}
		sent := 0
		for i := 0; i < len(data); i += 8 {
			b := data[i:min(i+8, len(data))]
			if at(i) != 255 {
				h := wire.Header{Type: wire.Type(at(i+1) % 20), Dst: ids[at(i+2)%len(ids)], Src: ids[at(i+3)%len(ids)], Seq: uint64(at(i + 4))}
				h.Port, h.Hops = uint8(at(i+5)), uint16(at(i+6))
				body := data[i:min(i+at(i+7)%40, len(data))]
				if h.Type == wire.Open {
					body = wire.OpenBody{Incarnation: incs[at(i+7)%len(incs)]}.Append(nil)
				}
				if h.Src == uint64(member.ID()) || h.Src == uint64(other.ID()) {
					h.Src = 77 + h.Src%2 // what a forger does to a member's own stream is another test's
				}
				b = wire.Append(nil, h, body)
			}
			sent += len(b)
			if _, err := link.Write(b); err != nil {
				break // the node has ended it
			}
		}
		number++
		if err := member.Send(t.Context(), victim.ID(), binary.BigEndian.AppendUint64([]byte{1}, number)); err != nil {
			t.Fatal(err)
		}
		if err := member.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case n := <-got:
			if n != number {
				t.Fatalf("message %d came, %d was sent", n, number)
			}
		case <-time.After(time.Minute):
			t.Fatal("the message did not come")
		}
		link.Close()
		runtime.ReadMemStats(&after)
		if n, most := after.TotalAlloc-before.TotalAlloc, uint64(2<<20+64*sent); n > most {
			t.Errorf("%d bytes cost %d bytes, at most %d are right", sent, n, most)
		}
	})
}
