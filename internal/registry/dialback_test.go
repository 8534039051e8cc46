package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// failing is a host whose dials fail while an error is set.
type failing struct {
	ringdht.Transport
	err   atomic.Pointer[error]
	dials atomic.Int32
}

func (f *failing) fail(errno syscall.Errno, to net.Addr) {
	err := error(&net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: os.NewSyscallError("connect", errno)})
	f.err.Store(&err)
}

func (f *failing) Dial(ctx context.Context, addr string) (net.Conn, error) {
	f.dials.Add(1)
	if err := f.err.Load(); err != nil {
		return nil, *err
	}
	return f.Transport.Dial(ctx, addr)
}

// newFailingRing returns a ring whose registry dials through a failing host.
func newFailingRing(t *testing.T, net *memnet.Network, opts ...ringdht.RegistryOption) (tr *ringtest.Ring, f *failing) {
	t.Helper()
	f = &failing{Transport: net.Host("registry")}
	tr = &ringtest.Ring{T: t, Net: net, Name: "n"}
	var err error
	if tr.Registry, err = ringdht.NewRegistry(append(opts, ringdht.WithTransport(f))...); err != nil {
		t.Fatal(err)
	}
	a, err := tr.Registry.Listen(t.Context(), "registry:1")
	if err != nil {
		t.Fatal(err)
	}
	tr.Addr = a.String()
	return tr, f
}

// A shortage at the registry makes a newcomer wait, but not for ever. An address that the
// registry cannot dial is refused at once, though the system may report both with the same
// error.
func TestShortageEndsWithItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, f := newFailingRing(t, memnet.New(1))
		defer tr.Close()

		// The node hangs up: the registry stops dialling it.
		f.fail(syscall.EMFILE, nil)
		m := tr.DialRaw(t)
		if err := m.Send(control.TypeRegister, control.Register{Addr: "raw:7", Token: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := f.dials.Load(); n < 10 {
			t.Errorf("%d dials in a second", n)
		}
		m.Close()
		time.Sleep(100 * time.Millisecond)
		had := f.dials.Load()
		time.Sleep(time.Second)
		if n := f.dials.Load(); n != had {
			t.Errorf("%d more dials for a node that has gone", n-had)
		}
		if ringtest.RegistryOf(tr.Registry).Conns() != 0 {
			t.Error("its session has not ended")
		}

		// The node waits, and the shortage lasts too long.
		start := time.Now()
		_, err := tr.TryJoin(nil)
		if !errors.Is(err, ringdht.ErrUnreachable) || !strings.Contains(err.Error(), "again") || !strings.Contains(err.Error(), "open files") {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d < 9*time.Second || d > 11*time.Second {
			t.Errorf("refused after %v", d)
		}

		// The shortage ends.
		time.AfterFunc(3*time.Second, func() { f.err.Store(nil) })
		if _, err := tr.TryJoin(nil); err != nil {
			t.Errorf("when the shortage had ended: %v", err)
		}

		// A wrong address is not a shortage.
		f.fail(syscall.EADDRNOTAVAIL, nil)
		start = time.Now()
		if _, err = tr.TryJoin(nil); !errors.Is(err, ringdht.ErrUnreachable) || time.Since(start) > 100*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// A node that hangs up while it waits for something else is not admitted.
func TestHangingUpEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr, _ := newFailingRing(t, net, ringdht.WithGrace(time.Hour)) // admits no node yet
		defer tr.Close()
		n := make(chan *ringtest.Node, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			x, _ := ringtest.Join(ctx, tr.Line(), nil, ringdht.WithTransport(net.Host("a")))
			n <- x
		}()
		time.Sleep(time.Second)
		cancel()
		if x := <-n; x != nil {
			t.Error("joined")
		}
		synctest.Wait()
		if ringtest.RegistryOf(tr.Registry).Conns() != 0 {
			t.Error("its session has not ended")
		}
	})
}

// Nodes with a silent address try to join again and again. They delay neither an ordinary node
// that joins nor the news of a death.
func TestSilentAddressesHoldUpNobody(t *testing.T) {
	for _, silent := range []int{150, 500} {
		if silent > 150 && (testing.Short() || ringtest.RaceEnabled) {
			continue
		}
		t.Run(fmt.Sprint(silent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := memnet.New(1)
				tr := ringtest.New(t, net, ringdht.WithLease(3*time.Second))
				for range 12 {
					tr.Join(nil)
				}
				net.Hold("registry", "silent")
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for i := range silent {
					wg.Go(func() {
						for ctx.Err() == nil {
							ringtest.Join(ctx, tr.Line(), nil, ringdht.WithTransport(net.Host(fmt.Sprint("s", i))), ringdht.WithAdvertise("silent:1"))
							handshake.Sleep(ctx, 100*time.Millisecond)
						}
					})
				}
				for range 10 {
					time.Sleep(1300 * time.Millisecond)
					start := time.Now()
					tr.Join(nil)
					ringtest.CheckElapsed(t, "an ordinary join", start, 500*time.Millisecond)
				}
				dead := tr.Nodes[3]
				start := time.Now()
				dead.Close()
				tr.Remove(dead)
				tr.WaitGone(dead.ID())
				ringtest.CheckElapsed(t, "finding the dead among silent newcomers", start, 100*time.Millisecond)
				cancel()
				wg.Wait()
				tr.Close()
			})
		})
	}
}

// A member that dies is found at once, also while many members are suspect and silent.
func TestSilentSuspectsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(30*time.Second))
		const suspects = 80
		for range suspects + 10 {
			tr.Join(nil)
		}
		var refs []ring.Ref
		for i, n := range tr.Nodes[:suspects] {
			net.Hold("registry", fmt.Sprint("n", i))
			net.Hold(fmt.Sprint("n", i), "registry")
			refs = append(refs, refOf(n))
		}
		ringtest.RegistryOf(tr.Registry).HangUpOn(refs...)
		time.Sleep(7 * time.Second) // until the first dials to them have timed out
		start := time.Now()
		dead := tr.Nodes[suspects]
		dead.Close()
		tr.Remove(dead)
		tr.WaitGone(dead.ID())
		ringtest.CheckElapsed(t, "finding the dead among silent suspects", start, 250*time.Millisecond)
		start = time.Now()
		tr.Join(nil)
		ringtest.CheckElapsed(t, "an ordinary join", start, 100*time.Millisecond)
		tr.Close()
	})
}

// The registry of a secure ring dials no address for a stranger, whatever host it is of. It dials for
// a node that has proven a secret, and takes it only if its key answers there.
func TestNoDialForAStranger(t *testing.T) {
	tr, f := newFailingRing(t, memnet.New(1), ringdht.WithSecurity(0))
	defer tr.Close()
	line := lineOf(t, tr)
	wrong := newProcess(t, tr.Net, line)
	wrong.line.Secret[0] ^= 1
	refusedFor(t, tr, wrong.tryJoin(func(r *control.Register) { r.Addr = "victim:22" }), control.CodeCredentials, status.RefusedSecret, "not one of this ring")
	none := newProcess(t, tr.Net, line)
	refusedFor(t, tr, none.tryJoin(func(r *control.Register) { r.Addr, r.Proof = "victim:22", "" }), control.CodeCredentials, status.RefusedNone, "join line")
	if n := f.dials.Load(); n != 0 {
		t.Errorf("the registry has dialled %d times for strangers", n)
	}
	newProcess(t, tr.Net, line).join()
	if n := f.dials.Load(); n != 1 {
		t.Errorf("the registry has dialled %d times for a node", n)
	}
}
