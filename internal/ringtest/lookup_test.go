package ringtest_test

import (
	"net"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
)

// A member whose end the registry knows gets no answer to a question for a name. So an answer proves
// that it had not been declared dead when it asked.
func TestLookupAfterTheEnd(t *testing.T) {
	tr := ringtest.New(t, nil)
	n := ringtest.New(t, nil).Join(nil) // it answers probes
	_, port, _ := net.SplitHostPort(n.Peer().Addr)
	addr := "localhost:" + port
	m := tr.DialRaw(t)
	if r := m.Ask(control.TypeRegister, control.Register{Addr: addr, Token: ringtest.NodeOf(n).Token()}); r != nil {
		t.Fatalf("%+v", r)
	}
	lookup := control.Lookup{Ask: 1, Name: "none"}
	if got := firstAnswer(t, m, lookup); got != control.TypeFound {
		t.Fatalf("a member's question is answered by %v", got)
	}
	leave := control.Deregister{ID: uint64(tr.Registry.Members()[0].ID), Addr: addr}
	if err := m.Send(control.TypeDeregister, leave); err != nil {
		t.Fatal(err)
	}
	for {
		if got, _, err := m.Recv(); err != nil {
			t.Fatal(err)
		} else if got == control.TypeDeregistered {
			break
		}
	}
	if got := firstAnswer(t, m, lookup); got == control.TypeFound {
		t.Error("one that has left has an answer")
	}
}

// firstAnswer asks for a name, and then something that is answered or refused in any case. It returns the first answer to
// either.
func firstAnswer(t *testing.T, m ringtest.RawConn, l control.Lookup) (first any) {
	t.Helper()
	for _, err := range []error{m.Send(control.TypeLookup, l), m.Send(control.TypeDeregister, control.Deregister{ID: 1, Addr: "localhost:1"})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for {
		got, _, err := m.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil && (got == control.TypeFound || got == control.TypeRefused) {
			first = got
		}
		if got == control.TypeRefused {
			return first
		}
	}
}
