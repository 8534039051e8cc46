package ringtest

import (
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/wire"
)

// RawConn is a member's connection to a registry, without a node behind it. A test sends and
// receives its messages.
type RawConn struct {
	t *testing.T
	*control.Conn
}

// DialRaw connects to the registry as a member does. It does not register. It is for open rings:
// see [Ring.Insider].
func (tr *Ring) DialRaw(t *testing.T) RawConn {
	t.Helper()
	OpenOnly(t, "its registry takes no raw connection")
	c := DialConfig()
	if tr.Net != nil {
		c.Transport = tr.Net.Host("raw")
	}
	conn, _, _, err := c.Dial(tr.Ctx(), tr.Addr, wire.Hello{Role: wire.RoleMember})
	if err != nil {
		t.Fatal(err)
	}
	m := RawConn{t, control.NewConn(conn, c.Codec, 1<<20)}
	t.Cleanup(m.Close)
	return m
}

// Ask sends a message and waits for one. It returns that if it is a refusal, else nil.
func (m RawConn) Ask(t wire.Type, v any) *control.Refused {
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
