package wire

import (
	"bytes"
	"runtime"
	"testing"
)

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzMemory decodes arbitrary bytes in all ways there are. What that allocates is bounded by the
// length of the input, and does not depend on the lengths and counts that the input claims.
func FuzzMemory(f *testing.F) {
	hello, _ := Hello{Role: RoleLink, From: 1, Codec: "msgpack", RingName: "ring"}.Append(nil)
	f.Add(hello)
	f.Add(Answer{Status: WrongRing, Reason: "another ring"}.Append(nil))
	f.Add([]byte("RDHT\x01\x01\xff\xff"))
	f.Add([]byte("RDHT\x01\x01\x04\x00"))
	f.Add([]byte{byte(Data), 0xff, 0xff, 0xff})
	f.Add([]byte{byte(FirstControl), 0xff, 0xff, 0xff, 1, 2, 3})
	var ranges []Range
	for i := range uint32(MaxRanges) {
		ranges = append(ranges, Range{2*i + 1, 1})
	}
	f.Add(AckBody{1, 2, 3}.Append(nil, ranges))
	f.Add(OpenedBody{1, 2, 3, 4}.Append(nil))
	for t := Open; t <= Farewell; t++ {
		f.Add(Append(nil, Header{Type: t, Dst: 1, Src: 2, Seq: 3}, []byte("body")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		decode := func() {
			ReadHello(bytes.NewReader(data))
			ReadAnswer(bytes.NewReader(data))
			for _, scan := range []func([]byte, int) (int, int, error){Scan, ScanFirst, ScanControl} {
				whole, need, _ := scan(data, 1<<20)
				if whole > len(data) || need > 1<<20 {
					t.Fatalf("%d whole bytes of %d, and a frame of %d", whole, len(data), need)
				}
			}
			ParseOpen(0, data)
			ParseOpen(1, data)
			ParseOpened(data)
			ParseRefuse(data)
			ParseRound(data)
			ParseAck(data, nil)
			ParseTraced(data)
			ParseNoRoute(data)
		}
		decode() // the first time costs more, once
		if n, most := allocated(decode), uint64(16<<10+4*len(data)); n > most {
			t.Errorf("%d bytes of input cost %d bytes, at most %d are right", len(data), n, most)
		}
	})
}
