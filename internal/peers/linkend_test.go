package peers

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/memnet"
)

// endedConn is a connection that ends with an error.
type endedConn struct {
	net.Conn
	err error
}

func (c endedConn) Read([]byte) (int, error) { return 0, c.err }

// A process that ends is no warning at its peers, also if it had something unread: the registry
// says whether it left or died.
func TestLinkEndsAreLogged(t *testing.T) {
	for err, level := range map[error]string{
		syscall.ECONNRESET:          "INFO",
		syscall.EPIPE:               "INFO",
		syscall.ETIMEDOUT:           "WARN",
		errors.New("another cause"): "WARN",
	} {
		withRig(t, func(t *testing.T, r *rig) {
			r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Successor: 30})
			near, far := memnet.Pipe()
			defer far.Close()
			r.p.AddLink(30, 1, endedConn{near, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}})
			r.feed()
			logged := strings.Join(r.logs.all(), "")
			if !strings.Contains(logged, "level="+level+` msg="link ended"`) || !strings.Contains(logged, err.Error()) {
				t.Errorf("%v: %s", err, logged)
			}
		})
	}
}

// A link that ends because it did not answer says nothing of one that has replaced it meanwhile.
func TestReplacedLinkIsNotUnanswered(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Successor: 30})
		r.link(30)
		silent := r.p.linkTo(30)
		r.link(30)
		r.feed()
		r.p.noteUnanswered(silent)
		if r.p.Unanswered(30, 1) {
			t.Error("the new link is said to be silent")
		}
		if r.p.noteUnanswered(r.p.linkTo(30)); !r.p.Unanswered(30, 1) {
			t.Error("a link that was not replaced is not said to be silent")
		}
	})
}

// A connection of which one direction is broken ends at both sides, although the other direction
// carries traffic all the time: the side that is not answered ends it.
func TestOneDirectionBreaks(t *testing.T) {
	for name, hold := range map[string][2]string{"from a": {"a", "b"}, "from b": {"b", "a"}} {
		t.Run(name, func(t *testing.T) {
			withPair(t, func(t *testing.T, w *pair) {
				synctest.Wait()
				w.net.Hold(hold[0], hold[1])
				start := time.Now()
				for took := time.Duration(0); w.up() || w.b.HasLink(10, 10); took = time.Since(start) {
					if took > 2*checkLimit {
						t.Fatalf("up after %v: %v, %v", took, w.up(), w.b.HasLink(10, 10))
					}
					w.a.Cast(t.Context(), 20, 0, nil)
					w.b.Cast(t.Context(), 10, 0, nil)
					time.Sleep(10 * time.Millisecond)
				}
			})
		})
	}
}
