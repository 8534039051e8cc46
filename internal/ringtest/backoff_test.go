package ringtest_test

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// A registry that cannot read what a member sends hangs up each time. The member backs off
// between its connections.
func TestRegistryThatHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(1)
		l, err := network.Host("registry").Listen(t.Context(), ":1")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var registered atomic.Int64
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go hangUp(conn, &registered)
			}
		}()
		n, err := ringtest.Join(t.Context(), "registry:1", nil, ringdht.WithTransport(network.Host("n")))
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		time.Sleep(10 * ringtest.Lease)
		synctest.Wait()
		// Each pause is at most half a lease, and half of that at least.
		if got := registered.Load(); got < 10 || got > 60 {
			t.Errorf("%d connections in ten leases", got)
		}
	})
}

// hangUp admits a node and ends the connection.
func hangUp(conn net.Conn, registered *atomic.Int64) {
	defer conn.Close()
	if _, err := wire.ReadHello(conn); err != nil {
		return
	}
	conn.Write(wire.Answer{}.Append(nil))
	c := control.NewConn(conn, ringdht.Msgpack(), 1<<20)
	defer c.Free()
	if _, _, err := c.Recv(); err != nil {
		return
	}
	registered.Add(1)
	c.Send(control.TypeRegistered, control.Registered{ID: 1, Incarnation: 1, Bits: 16, MaxPayload: 1000, HopLimit: 10, Lease: ringtest.Lease.Milliseconds()})
	c.Shutdown(time.Second)
}
