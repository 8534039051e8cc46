package ringtest

import (
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/wire"
)

// RawMember is a connection to a registry without a Node behind it.
type RawMember struct {
	t *testing.T
	*control.Conn
}

func (tr *Ring) Raw(t *testing.T) RawMember {
	t.Helper()
	c := Dialler()
	if tr.Net != nil {
		c.Transport = tr.Net.Host("raw")
	}
	conn, _, err := c.Dial(tr.Ctx(), tr.Addr, wire.Hello{Role: wire.RoleMember})
	if err != nil {
		t.Fatal(err)
	}
	m := RawMember{t, control.NewConn(conn, c.Codec, 1<<20)}
	t.Cleanup(m.Close)
	return m
}

// Ask sends a message and returns the refusal it gets, or nil.
func (m RawMember) Ask(t wire.Type, v any) *control.Refused {
	m.t.Helper()
	if err := m.Send(t, v); err != nil {
		m.t.Fatal(err)
	}
	got, body, err := m.Recv()
	if err != nil {
		m.t.Fatal(err)
	}
	if got != control.TypeRefused {
		return nil
	}
	var r control.Refused
	if err := m.Decode(body, &r); err != nil {
		m.t.Fatal(err)
	}
	return &r
}
