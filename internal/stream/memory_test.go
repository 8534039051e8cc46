package stream

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// FuzzHostilePeer gives both halves of a stream frames with arbitrary numbers and bodies, as the
// other side or a forger may send them. The sink keeps no more than it has room for. All that is
// allocated is bounded by the length of the input.
func FuzzHostilePeer(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		data := make([]byte, 400)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		f.Add(data)
	}
	far := binary.BigEndian.AppendUint64([]byte{0, 20}, first+maxAhead-1)
	f.Add(append(far, make([]byte, 20)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		const room = 16 << 10
		data = data[:min(len(data), 4000)]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		src, dst := NewSender(1, 7, 2, 3), receiver()
		now := Time(1)
		src.Start(now, nil)
		src.Opened(now, 3, wire.OpenedBody{SourceIncarnation: 7, SinkIncarnation: 9, First: first, Window: 1 << 16}, wire.MaxBundle, nil)
		for range 20 {
			src.Push(0, make([]byte, 100))
		}
		sent := 0
		for in := input(data); len(in) > 0; {
			op := in.byte()
			body := in.bytes(int(in.byte()) % 64)
			seq := in.number(first, dst.next, src.una, src.nxt)
			now += Time(in.byte()) * ms
			var out []byte
			switch op % 12 {
			case 0, 1, 2, 3:
				f := wire.Frame(wire.Append(nil, wire.Header{Type: wire.Data, Dst: 2, Src: 1, Seq: seq}, body))
				if op%12 > 1 { // a bundle of some kind
					if len(body) > 4 && op > 127 {
						copy(body, []byte{0, byte(len(body)-2) / 2}) // of empty messages
						f = wire.Append(nil, wire.Header{Type: wire.Data, Dst: 2, Src: 1, Seq: seq}, append(body[:2], make([]byte, len(body)/2*2-2)...))
					}
					f.SetBundle()
				}
				dst.Data(f, room-dst.Bytes())
			case 4:
				dst.Sync(seq, uint32(op))
				out = dst.AppendAck(nil, 1<<16)
			case 5:
				dst.Open(in.number(7), in.number(3), first)
				out = dst.AppendOpened(nil, 1<<16)
			case 6:
				dst.Close(seq)
			case 7:
				out, _, _ = src.Ack(now, seq, body, nil)
			case 8:
				if b, err := wire.ParseOpened(body); err == nil {
					out = src.Opened(now, seq, b, 0, nil)
				}
			case 9:
				src.Reset(seq)
			case 10:
				src.Farewell(now, seq)
			case 11:
				out = src.Tick(now, nil)
			}
			sent += len(out)
			if dst.Bytes() > room {
				t.Fatalf("%d bytes are kept, there is room for %d", dst.Bytes(), room)
			}
		}
		runtime.ReadMemStats(&after)
		if n, most := after.TotalAlloc-before.TotalAlloc, uint64(256<<10+200*len(data)+8*sent); n > most {
			t.Errorf("%d bytes of input cost %d bytes, at most %d are right", len(data), n, most)
		}
	})
}
