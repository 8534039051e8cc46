package ringtest_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// gobCodec is a codec that a program brings.
type gobCodec struct{}

func (gobCodec) Name() string { return "gob" }

func (gobCodec) Append(dst []byte, v any) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	err := gob.NewEncoder(b).Encode(v)
	return b.Bytes(), err
}

func (gobCodec) Decode(data []byte, v any) error {
	return gob.NewDecoder(bytes.NewReader(data)).Decode(v)
}

var testCodecs = []ringdht.Codec{ringdht.Msgpack(), ringdht.JSON(), gobCodec{}}

type greeting struct {
	Text string   `json:"text"`
	N    int64    `json:"n"`
	IDs  []uint64 `json:"ids"`
}

func TestCodecsCarryValues(t *testing.T) {
	for _, c := range testCodecs {
		t.Run(c.Name(), func(t *testing.T) {
			tr := ringtest.New(t, memnet.New(1), ringdht.WithCodec(c))
			got := make(chan greeting, 1)
			sink := tr.Join(func(_ context.Context, m ringdht.Message) {
				var g greeting
				if err := m.Decode(&g); err != nil {
					t.Error(err)
				}
				got <- g
			}, ringdht.WithTraffic())
			from := tr.Join(nil, ringdht.WithTraffic())
			tr.Setup(0)
			want := greeting{"grüße", math.MinInt64, []uint64{0, math.MaxUint64}}
			if err := from.SendValue(tr.Ctx(), sink.ID(), want); err != nil {
				t.Fatal(err)
			}
			if g := <-got; !reflect.DeepEqual(g, want) {
				t.Errorf("got %+v", g)
			}
			tr.Run(status.Traffic{Messages: 100}) // control messages, too
			if c.Name() == "json" {
				if err := from.SendValue(tr.Ctx(), sink.ID(), func() {}); err == nil {
					t.Error("a function was encoded")
				}
			}
		})
	}
}

func TestCodecsAppendAndReject(t *testing.T) {
	for _, c := range []ringdht.Codec{ringdht.Msgpack(), ringdht.JSON()} {
		b, err := c.Append([]byte("before"), control.Task{Run: 1 << 63, Messages: 5})
		if err != nil || !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("%s: %q %v", c.Name(), b, err)
		}
		b = b[len("before"):]
		var task control.Task
		if err := c.Decode(b, &task); err != nil || task.Run != 1<<63 {
			t.Errorf("%s: %+v %v", c.Name(), task, err)
		}
		for name, bad := range map[string][]byte{"nothing": nil, "cut short": b[:len(b)-1], "more behind it": append(bytes.Clone(b), b...)} {
			if err := c.Decode(bad, new(control.Task)); err == nil {
				t.Errorf("%s: decoded %s", c.Name(), name)
			}
		}
	}
}

// Members of different versions understand each other: unknown fields are skipped, missing ones
// are zero.
func TestCodecsSkipUnknownFields(t *testing.T) {
	for _, c := range testCodecs {
		b, err := c.Append(nil, struct {
			Epoch uint64 `json:"epoch"`
			Later string `json:"later"`
		}{7, "x"})
		if err != nil {
			t.Fatal(err)
		}
		var m control.Linked
		if err := c.Decode(b, &m); err != nil || m.Epoch != 7 {
			t.Errorf("%s: %+v %v", c.Name(), m, err)
		}
	}
}

func TestMsgpackConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range uint64(8) {
		wg.Go(func() {
			for n := range uint64(500) {
				b, err := ringdht.Msgpack().Append(nil, ring.Peer{ID: i, Incarnation: n, Addr: "host:1"})
				var p ring.Peer
				if err == nil {
					err = ringdht.Msgpack().Decode(b, &p)
				}
				if err != nil || p.ID != i || p.Incarnation != n {
					t.Error(p, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// No input of a peer makes Decode panic. The memory that it takes is in proportion to the
// input.
func FuzzDecode(f *testing.F) {
	for _, c := range []ringdht.Codec{ringdht.Msgpack(), ringdht.JSON()} {
		for _, v := range []any{
			control.Manifest{Epoch: 1, Entries: []ring.Peer{{ID: 1, Addr: "a:1"}}, Others: []uint64{1, 2}},
			control.Pairs{Sent: []control.Pair{{ID: 1, N: 2, Sum: -3}}}, control.Traced{Hops: []control.Hop{{ID: 1}}, Error: "x"},
		} {
			b, err := c.Append(nil, v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range []ringdht.Codec{ringdht.Msgpack(), ringdht.JSON()} {
			for _, v := range []any{new(control.Manifest), new(control.Pairs), new(control.Register), new(control.Traced), new(greeting)} {
				c.Decode(b, v)
			}
		}
	})
}

func BenchmarkMsgpack(b *testing.B) {
	v := control.Beat{Sent: 123456, Received: 654321}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = ringdht.Msgpack().Append(buf[:0], v)
		ringdht.Msgpack().Decode(buf, &v)
	}
}

// A value that cannot be encoded is not sent: the caller gets the error.
func TestSendValueRefuses(t *testing.T) {
	for _, c := range []ringdht.Codec{ringdht.Msgpack(), ringdht.JSON()} {
		t.Run(c.Name(), func(t *testing.T) {
			tr := ringtest.New(t, memnet.New(1), ringdht.WithCodec(c))
			sink := tr.Join(func(_ context.Context, m ringdht.Message) { t.Errorf("got % x", m.Body) })
			from := tr.Join(nil)
			tr.Setup(0)
			for _, v := range []any{func() {}, make(chan int), struct{ Work func() }{func() {}}, []any{make(chan int)}} {
				if err := from.SendValue(tr.Ctx(), sink.ID(), v); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("encoding a %T with %s: ", v, c.Name())) {
					t.Errorf("%T: %v", v, err)
				}
			}
			if err := from.Flush(tr.Ctx()); err != nil {
				t.Error(err)
			}
		})
	}
}
