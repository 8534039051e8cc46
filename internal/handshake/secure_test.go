package handshake_test

import (
	"errors"
	"net"
	"testing"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// configOver returns a configuration over a host of the network. security is nil for an open ring.
func configOver(t *testing.T, network *memnet.Network, host string, security handshake.Security) *handshake.Config {
	t.Helper()
	c := ringtest.DialConfig()
	c.Transport = network.Host(host)
	if err := c.Prepare(1 << 10); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Records.Close() })
	c.Security = security
	return c
}

// meeting is what both sides of a handshake have at its end.
type meeting struct {
	near, far       net.Conn
	answer          wire.Answer
	hello           wire.Hello
	ofNear, ofFar   secure.Proof // what each has proven
	nearErr, farErr error
}

// meet has one side dial the other.
func meet(t *testing.T, dials, accepts handshake.Security, h wire.Hello, check func(wire.Hello, secure.Proof) wire.Answer) (m meeting) {
	t.Helper()
	network := memnet.New(1)
	near, far := configOver(t, network, "near", dials), configOver(t, network, "far", accepts)
	l, err := far.Transport.Listen(t.Context(), "far:1")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if check == nil {
		check = func(wire.Hello, secure.Proof) wire.Answer { return wire.Answer{} }
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		m.far, m.hello, m.ofNear, m.farErr = far.Welcome(conn, check)
		if m.farErr != nil {
			conn.Close()
		}
		t.Cleanup(func() { m.far.Close() })
	}()
	m.near, m.answer, m.ofFar, m.nearErr = near.Dial(t.Context(), "far:1", h)
	<-done
	if m.near != nil {
		t.Cleanup(func() { m.near.Close() })
	}
	return m
}

func TestSecureHandshake(t *testing.T) {
	key := ringtest.NewRingKey()
	link := wire.Hello{Role: wire.RoleLink, From: 1, FromIncarnation: 11, To: 2, ToIncarnation: 22}
	for name, c := range map[string]struct {
		dials, accepts *ringtest.Credentials
		hello          wire.Hello
		far, near      error // nil for a connection
	}{
		"a link":                       {key.Member(1, 11), key.Member(2, 22), link, nil, nil},
		"a member at the registry":     {key.Member(1, 11), key.Registry(), wire.Hello{Role: wire.RoleMember}, nil, nil},
		"a newcomer at the registry":   {key.Newcomer(), key.Registry(), wire.Hello{Role: wire.RoleMember}, nil, nil},
		"a probe":                      {key.Registry(), key.Newcomer(), wire.Hello{Role: wire.RoleProbe}, nil, nil},
		"another dialling node":        {key.Member(3, 11), key.Member(2, 22), link, nil, secure.ErrNotAdmitted},
		"another dialling incarnation": {key.Member(1, 12), key.Member(2, 22), link, nil, secure.ErrNotAdmitted},
		"another dialled node":         {key.Member(1, 11), key.Member(3, 22), link, nil, errs.ErrHandshake},
		"another dialled incarnation":  {key.Member(1, 11), key.Member(2, 23), link, nil, errs.ErrHandshake},
		"another ring's registry":      {key.Newcomer(), ringtest.NewRingKey().Registry(), wire.Hello{Role: wire.RoleMember}, nil, errs.ErrHandshake},
	} {
		t.Run(name, func(t *testing.T) {
			m := meet(t, c.dials, c.accepts, c.hello, nil)
			if !errors.Is(m.nearErr, c.near) || (m.nearErr == nil) != (m.farErr == nil) {
				t.Fatalf("%v, want %v; %v", m.nearErr, c.near, m.farErr)
			}
			if m.nearErr != nil {
				t.Log(m.nearErr, "|", m.farErr)
				return
			}
			if _, err := m.near.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			b := make([]byte, 1)
			if _, err := m.far.Read(b); err != nil || b[0] != 'x' {
				t.Error(b, err)
			}
			one, err := m.ofFar.State.ExportKeyingMaterial("EXPORTER-x", nil, 32)
			two, err2 := m.ofNear.State.ExportKeyingMaterial("EXPORTER-x", nil, 32)
			if err != nil || err2 != nil || string(one) != string(two) {
				t.Error("the ends have different keying material", err, err2)
			}
		})
	}
}
