package link

import (
	"bytes"
	"errors"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

const largest = wire.MaxLength + wire.PrefixSize

// reading is a reader whose goroutine waits, and the other end of its connection.
func reading(t *testing.T, max int) (r *Reader, far net.Conn, got <-chan int) {
	near, far := memnet.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	r = NewReader(near, wire.Scan, max)
	c := make(chan int, 100)
	go func() {
		defer close(c)
		for {
			b, err := r.Next()
			if err != nil {
				r.Free()
				return
			}
			c <- len(b)
		}
	}()
	return r, far, c
}

// A buffer is at most four times as long as what has arrived, and not as its prefix claims.
func TestBufferGrowsWithWhatHasArrived(t *testing.T) {
	for _, sent := range []int{4, 40, 600, 5000, 70_000, 1 << 20} {
		bubble(t, func(t *testing.T) {
			r, far, _ := reading(t, largest)
			prefix := frame(1, largest)[:sent]
			for _, piece := range [][]byte{prefix[:4], prefix[4:]} {
				far.Write(piece)
				synctest.Wait()
			}
			if got, most := len(*r.buf), max(512, 4*sent); got > most {
				t.Errorf("a buffer of %d bytes for %d, the most is %d", got, sent, most)
			}
		})
	}
}

// Many readers whose peers claim the largest frame, and send no more of it, cost what an idle
// connection costs.
func TestPrefixesCostLittle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 1000
		prefix := frame(1, largest)[:65]
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			_, far, _ := reading(t, largest)
			far.Write(prefix)
		}
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if each := int64(after.HeapAlloc-before.HeapAlloc) / n; each > 8<<10 { // most of it is the pipe
			t.Errorf("%d bytes each", each)
		}
	})
}

func TestStalled(t *testing.T) {
	const limit = 3 * time.Second
	whole := frame(1, 100_000)
	for name, c := range map[string]struct {
		step    int           // bytes
		every   time.Duration // between steps
		checked time.Duration // between checks
		stalled time.Duration // when it is found; 0: never
	}{
		"nothing":                 {0, time.Second, time.Second, 3 * time.Second},
		"a byte a second":         {1, time.Second, time.Second, 3 * time.Second},
		"just too slow":           {MinProgress/3 - 1, time.Second, time.Second, 3 * time.Second},
		"just fast enough":        {MinProgress/3 + 1, time.Second, time.Second, 0},
		"in bursts":               {MinProgress, 3 * time.Second, time.Second, 0},
		"not checked for a while": {1, time.Second, limit, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, far, got := reading(t, 100_000)
				far.Write(whole[:50])
				sent := 50
				var found time.Duration
				for now := time.Duration(0); now < time.Minute && found == 0; now += 100 * time.Millisecond {
					if now > 0 && now%c.every == 0 {
						n := min(c.step, len(whole)-sent)
						far.Write(whole[sent : sent+n])
						sent += n
					}
					synctest.Wait()
					if now%c.checked == 0 {
						err := r.Stalled(now, limit)
						if err != nil && !errors.Is(err, ErrStalled) {
							t.Fatal(err)
						}
						if err != nil {
							found = now
						}
					}
					time.Sleep(100 * time.Millisecond)
				}
				if found != c.stalled {
					t.Errorf("found after %v, want %v", found, c.stalled)
				}
				if sent == len(whole) && <-got != len(whole) {
					t.Error("another frame came")
				}
			})
		})
	}
}

// An idle connection is not stalled, nor is one whose reader is busy elsewhere.
func TestNotStalled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, far, got := reading(t, 1000)
		busy := NewReader(&script{pieces: [][]byte{frames(40, 50)[:60]}}, wire.Scan, 50)
		if _, err := busy.Next(); err != nil {
			t.Fatal(err)
		}
		far.Write(frame(1, 40))
		if <-got != 40 {
			t.Fatal("no frame")
		}
		for i := range 20 {
			for _, x := range []*Reader{r, busy} {
				if err := x.Stalled(time.Duration(i)*time.Second, 3*time.Second); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// FuzzReader reads arbitrary bytes in pieces of arbitrary lengths. The buffer stays within four
// times of what has arrived.
func FuzzReader(f *testing.F) {
	f.Add(frames(40, 3000, 32), uint16(7))
	f.Add(frame(1, largest)[:3000], uint16(100))
	f.Add([]byte{4, 0xff, 0xff, 0xff}, uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, chop uint16) {
		var pieces [][]byte
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+int(chop))
			pieces = append(pieces, bytes.Clone(rest[:n]))
			rest = rest[n:]
		}
		r := NewReader(&script{pieces: pieces}, wire.Scan, largest)
		defer r.Free()
		total := 0
		for {
			b, err := r.Next()
			if r.buf != nil && len(*r.buf) > max(512, 4*len(data)) {
				t.Fatalf("a buffer of %d bytes for %d", len(*r.buf), len(data))
			}
			if err != nil {
				return
			}
			if total += len(b); total > len(data) {
				t.Fatal("more than was sent")
			}
		}
	})
}
