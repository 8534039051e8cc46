package ringtest_test

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// resources are what an attack must not keep.
type resources struct {
	heap       int64
	goroutines int
}

func inUse() resources {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools have kept
	runtime.ReadMemStats(&m)
	return resources{int64(m.HeapAlloc), runtime.NumGoroutine()}
}

// Connections to a node that are held and not used cost little, and end by themselves although the
// other side never closes them. Afterwards a run is exact, and memory and goroutines are where they
// were. The ring has no security, so the attacker says of itself what it likes.
func TestHeldLinksEnd(t *testing.T) {
	const lease = 3 * time.Second
	prefix := wire.Append(nil, wire.Header{Type: wire.Data, Dst: 1, Src: 2, Seq: 3}, make([]byte, 60_000))[:65]
	stranger := func(i int) ring.Ref { return ring.Ref{ID: uint64(10_000 + i), Incarnation: 1} }
	for _, c := range []struct {
		name  string
		links int
		from  func(i int, member ring.Ref) ring.Ref
		send  []byte // at once
		drip  []byte // and then a byte of it a second
		each  int64  // bytes that a link may cost, with the attacker's end of it and the in-memory network
		log   string
	}{
		{"silence, each under another name", 2000, func(i int, _ ring.Ref) ring.Ref { return stranger(i) }, nil, nil, 6 << 10, "no member"},
		{"silence under a member's name", 500, func(_ int, m ring.Ref) ring.Ref { return m }, nil, nil, 2 << 10, "too many connections"},
		{"the prefix of a large frame", 1000, func(i int, _ ring.Ref) ring.Ref { return stranger(i) }, prefix, nil, 8 << 10, "not finished"},
		{"a byte a second", 1000, func(i int, _ ring.Ref) ring.Ref { return stranger(i) }, prefix[:4], prefix[4:], 8 << 10, "not finished"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.from(0, ring.Ref{}).ID != 0 {
				ringtest.OpenOnly(t, "no link has another name than its admission, see TestStrangers")
			}
			if ringtest.AllSecure {
				c.each += 16 << 10 // TLS at the attacker's end
			}
			synctest.Test(t, func(t *testing.T) {
				log := ringtest.NewLog()
				tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(lease), log.Option())
				for id := range ringdht.ID(3) { // no stranger has the name of one
					tr.Join(nil, ringdht.WithTraffic(), ringdht.WithID(id+1))
				}
				tr.Setup(1)
				tr.Run(status.Traffic{Messages: 100})
				time.Sleep(5 * lease)
				victim, before := tr.Nodes[0], inUse()

				var held []net.Conn
				for i := range c.links {
					if conn := tr.TryLink(victim, c.from(i, ringtest.RefOf(tr.Nodes[1]))); conn != nil {
						conn.Write(c.send)
						held = append(held, conn)
					}
				}
				if len(held) != c.links {
					t.Errorf("%d of %d links were accepted", len(held), c.links)
				}
				synctest.Wait()
				if now := inUse(); now.heap-before.heap > int64(c.links)*c.each {
					t.Errorf("each link costs %d bytes", (now.heap-before.heap)/int64(c.links))
				}
				for i := range int(10 * lease / time.Second) {
					time.Sleep(time.Second)
					for _, conn := range held {
						if i < len(c.drip) {
							conn.Write(c.drip[i : i+1])
						}
					}
				}
				synctest.Wait()
				if text := log.Text(); !strings.Contains(text, "incoming link ended") || !strings.Contains(text, c.log) {
					t.Errorf("the log does not say %q:\n%s", c.log, text)
				} else if lines := strings.Count(text, "incoming link ended"); lines > 5 {
					t.Errorf("%d lines about %d links", lines, c.links)
				}
				most := 0
				if c.from(0, ring.Ref{}) == c.from(1, ring.Ref{}) {
					most = 2 // of a member's name
				}
				if shed := victim.Status().Counters.LinksShed; shed < int64(c.links-most) {
					t.Errorf("%d links were counted", shed)
				}
				if now := inUse(); now.goroutines-before.goroutines > most {
					t.Errorf("%d goroutines, there were %d", now.goroutines, before.goroutines)
				}
				tr.Run(status.Traffic{Messages: 1000})
				for _, conn := range held {
					conn.Close()
				}
				held = nil
				time.Sleep(5 * lease)
				// the runtime keeps the descriptors of goroutines that have ended
				if now := inUse(); now.heap-before.heap > 1<<20+int64(c.links)<<10 || now.goroutines > before.goroutines {
					t.Errorf("%d bytes and %d goroutines are left", now.heap-before.heap, now.goroutines-before.goroutines)
				}
				tr.Close()
			})
		})
	}
}
