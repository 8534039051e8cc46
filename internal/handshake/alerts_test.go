package handshake_test

import (
	"errors"
	"testing"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// A stranger in the registry's place sends an alert of TLS, seven bytes in the clear. A node must not
// believe from it that it was expelled, or that its admission is good no more: it would end for that.
func TestAlertsInTheClearProveNothing(t *testing.T) {
	for alert := range 256 {
		network := memnet.New(1)
		l, err := network.Host("far").Listen(t.Context(), "far:1")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			conn.Read(make([]byte, 1<<12))
			conn.Write([]byte{21, 3, 3, 0, 2, 2, byte(alert)})
		}()
		near := configOver(t, network, "near", ringtest.NewRingKey().Member(1, 11))
		_, _, _, err = near.Dial(t.Context(), "far:1", wire.Hello{Role: wire.RoleMember})
		if err == nil {
			t.Fatal("no error")
		}
		for _, believed := range []error{secure.ErrRevoked, secure.ErrExpired, secure.ErrNotAdmitted, secure.ErrOtherKey, errs.ErrNotMember, errs.ErrEvicted} {
			if errors.Is(err, believed) {
				t.Errorf("alert %d: %v, which matches %q", alert, err, believed)
			}
		}
		<-done
		l.Close()
	}
}
