package handshake_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// security returns an interface that is nil if c is.
func security(c *ringtest.Credentials) handshake.Security {
	if c == nil {
		return nil
	}
	return c
}

// Both sides of an honest mistake say in a line what to do.
func TestHonestMistakes(t *testing.T) {
	key, other := ringtest.NewRingKey(), ringtest.NewRingKey()
	link := wire.Hello{Role: wire.RoleLink, From: 1, FromIncarnation: 11, To: 2, ToIncarnation: 22}
	join, probe := wire.Hello{Role: wire.RoleMember}, wire.Hello{Role: wire.RoleProbe}
	with := func(c *ringtest.Credentials, f func(*ringtest.Credentials)) *ringtest.Credentials { f(c); return c }
	expired := func(a *secure.Admission) { a.Until = time.UnixMilli(1000) }
	strict := func(c *ringtest.Credentials) { c.Now = time.UnixMilli(2000) }
	stolen := with(key.Member(1, 11), func(c *ringtest.Credentials) { c.Key = key.Newcomer().Key })
	expelled := key.Member(1, 11)
	for _, c := range []struct {
		name           string
		dials, accepts *ringtest.Credentials // nil for an open ring's
		hello          wire.Hello
		cause          error // that the dialling side's error wraps, beside errs.ErrHandshake
		near, far      string
	}{
		{"a node without a join line", nil, key.Registry(), join, secure.ErrNotAdmitted,
			"this ring is secure: join with the join line", "a node without TLS, and this ring is secure"},
		{"an open ring's node at a secure one", nil, key.Member(2, 22), link, secure.ErrNotAdmitted,
			"this ring is secure: join with the join line", "a node without TLS, and this ring is secure"},
		{"a join line of a ring that is open", key.Newcomer(), nil, join, nil,
			"this ring is open, without TLS: join it by host:port", "a secure node dials this open ring"},
		{"another ring's join line", other.Newcomer(), key.Registry(), join, secure.ErrNotRegistry,
			"its key has the pin " + key.Trust.Keys[0].String() + ", and " + other.Trust.Keys[0].String() + " was expected",
			"a node expected another key than this side's"},
		{"an expired admission", key.Member(1, 11, expired), with(key.Registry(), strict), join, secure.ErrExpired,
			"join again with the join line", "the admission has expired, at 1970-01-01 00:00:01 by the registry's clock"},
		{"an expired admission at a peer", key.Member(1, 11, expired), with(key.Member(2, 22), strict), link, secure.ErrExpired,
			"join again with the join line", "the admission has expired"},
		{"an expelled node", expelled, with(key.Registry(), func(c *ringtest.Credentials) {
			c.Trust.Revoked = map[secure.Key]struct{}{secure.KeyOf(expelled.Key): {}}
		}), join, secure.ErrRevoked, "the node was expelled", "the node was expelled"},
		{"another ring's admission", with(other.Member(1, 11), func(c *ringtest.Credentials) { c.Trust = key.Trust }), key.Member(2, 22), link,
			secure.ErrNotAdmitted, "join with the join line of this ring's registry", "it is another ring's"},
		{"a peer of another ring", key.Member(1, 11), other.Member(2, 22), link, secure.ErrNotAdmitted,
			"it is another ring's", "a node expected another key than this side's"},
		{"a stolen admission", stolen, key.Member(2, 22), link, secure.ErrNotAdmitted,
			"the admission is of another key than the connection", "the admission is of another key"},
		{"another version", with(key.Newcomer(), func(c *ringtest.Credentials) { c.DialsAs = "rdht/3" }), key.Registry(), join, nil,
			"the other side is of another version than rdht/3", `a node of another version, which speaks "rdht/3": this one speaks ["rdht/2" "rdht-join/2"]`},
		{"a node dialled as a registry", key.Newcomer(), key.Member(2, 22), join, nil,
			"the other side is a node and not a registry", "a node wants to join here, and this is a node"},
		{"a node dialled as a registry by a member", key.Member(1, 11), key.Member(2, 22), join, nil,
			"node 2 answers there, not a registry", "nothing was received"},
		{"a registry dialled as a node", key.Member(1, 11), key.Registry(), link, nil,
			"the registry answers there, not node 2", "nothing was received"},
		{"a registry probed", key.Registry(), key.Registry(), probe, nil,
			"the other side is a registry and not a node", "a registry looks for a node here, and this is a registry"},
		{"a probe by another ring's registry", other.Registry(), key.Newcomer(), probe, secure.ErrNotAdmitted,
			"only the ring's registry may ask that", "only the ring's registry may ask that"},
		{"a link without an admission", with(key.Newcomer(), func(c *ringtest.Credentials) { c.DialsAs = secure.Protocol }), key.Member(2, 22), link,
			secure.ErrNotAdmitted, "a link needs an admission", "a link needs an admission"},
		{"an admission where none may be", with(key.Member(1, 11), func(c *ringtest.Credentials) { c.DialsAs = secure.JoinProtocol }), key.Registry(), join,
			secure.ErrNotAdmitted, "a member needs an admission", "a member needs an admission"},
		{"a link from another node", key.Member(3, 11), key.Member(2, 22), link, secure.ErrNotAdmitted,
			"the hello names another incarnation than the admission", "the hello names another incarnation"},
		{"a peer that has restarted", key.Member(1, 11), key.Member(2, 23), link, nil,
			"the routing table is out of date", "nothing was received"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := meet(t, security(c.dials), security(c.accepts), c.hello, nil)
			t.Logf("\n%v\n%v", m.nearErr, m.farErr)
			if !errors.Is(m.nearErr, errs.ErrHandshake) || c.cause != nil && !errors.Is(m.nearErr, c.cause) || !strings.Contains(m.nearErr.Error(), c.near) {
				t.Errorf("the dialling side: %v\nwant %v and %q", m.nearErr, c.cause, c.near)
			}
			if m.farErr == nil || !strings.Contains(m.farErr.Error(), c.far) || m.ofNear.Kind != secure.Nothing {
				t.Errorf("the accepting side: %v, and %v is proven\nwant %q", m.farErr, m.ofNear.Kind, c.far)
			}
			if strings.Contains(m.nearErr.Error()+m.farErr.Error(), "\n") {
				t.Error("more than a line")
			}
		})
	}
}

// accepted gives a connection that speaks what f makes it speak to a side that accepts, and returns
// the error of that.
func accepted(t *testing.T, side handshake.Security, f func(net.Conn)) error {
	t.Helper()
	near, far := memnet.Pipe()
	return acceptedOver(t, side, near, far, f)
}

// acceptedOver is accepted over these ends of a connection.
func acceptedOver(t *testing.T, side handshake.Security, near, far net.Conn, f func(net.Conn)) error {
	t.Helper()
	c := configOver(t, memnet.New(1), "far", side)
	done := make(chan error)
	go func() {
		_, _, _, err := c.Welcome(far, func(wire.Hello, secure.Proof) wire.Answer { return wire.Answer{} })
		far.Close()
		done <- err
	}()
	f(near)
	near.Close()
	return <-done
}

// What is no node gets an answer that it understands, at a secure port and at an open one.
func TestOtherProtocols(t *testing.T) {
	key := ringtest.NewRingKey()
	for side, accepts := range map[string]*ringtest.Credentials{"open": nil, "secure": key.Registry()} {
		t.Run("HTTP at "+side, func(t *testing.T) {
			// Over TCP, where a connection that is closed with unread bytes is reset, and the answer lost.
			near, far := tcpPair(t)
			err := acceptedOver(t, security(accepts), near, far, func(conn net.Conn) {
				r, _ := http.NewRequest("GET", "http://registry/", strings.NewReader(strings.Repeat("x", 5000)))
				if err := r.Write(conn); err != nil {
					t.Fatal(err)
				}
				answer, err := http.ReadResponse(bufio.NewReader(conn), r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(answer.Body)
				if answer.StatusCode != 400 || err != nil || !strings.Contains(string(body), "The ring's page is at another port") {
					t.Errorf("%v: %s, %v", answer.Status, body, err)
				}
			})
			if err == nil || !strings.Contains(err.Error(), `HTTP was received ("GET /`) {
				t.Error(err)
			}
		})
	}
	t.Run("HTTPS at open", func(t *testing.T) {
		err := accepted(t, nil, func(conn net.Conn) {
			if err := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake(); !strings.Contains(err.Error(), "does not look like a TLS handshake") {
				t.Error(err)
			}
		})
		if err == nil || !strings.Contains(err.Error(), "a secure node dials this open ring (or another program with TLS)") {
			t.Error(err)
		}
	})
	for name, c := range map[string]struct {
		client *tls.Config
		want   string
	}{
		"a browser":       {&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}, `TLS for "h2" "http/1.1", such as of a browser`},
		"no ALPN":         {&tls.Config{InsecureSkipVerify: true, Certificates: certificate(t, key.Newcomer())}, "TLS without a protocol"},
		"no certificate":  {&tls.Config{InsecureSkipVerify: true, NextProtos: []string{secure.Protocol}}, "certificate"},
		"TLS 1.2":         {&tls.Config{InsecureSkipVerify: true, NextProtos: []string{secure.Protocol}, MaxVersion: tls.VersionTLS12}, "versions"},
		"odd names":       {&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"\x1b[2J\n", strings.Repeat("y", 250), "3", "4"}}, `"\x1b[2J\n" "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy" "3" and 1 more`},
		"many names fit":  {&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"x", secure.JoinProtocol}, Certificates: certificate(t, key.Newcomer())}, ""},
		"a hello cut off": {nil, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			err := accepted(t, key.Registry(), func(conn net.Conn) {
				if c.client == nil {
					conn.Write([]byte{0x16, 3, 1, 2, 0, 1})
					return
				}
				client := tls.Client(conn, c.client)
				if client.Handshake() == nil {
					h := ringtest.DialConfig()
					hello, _ := wire.Hello{Role: wire.RoleMember, Codec: h.Codec.Name(), RingName: h.RingName}.Append(nil)
					client.Write(hello)
					client.Read(make([]byte, 1))
				}
			})
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func certificate(t *testing.T, c *ringtest.Credentials) []tls.Certificate {
	t.Helper()
	cert, err := c.Certificate(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	return []tls.Certificate{*cert}
}

func tcpPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err == nil {
		far, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

// A program that does not know TLS closes the connection, as one that ends does. So it is no final
// refusal, and the error says what it may be. Over TCP the unread bytes reset the connection.
func TestHangUpInTLS(t *testing.T) {
	for name, takes := range map[string]int{"all read": 1 << 16, "bytes unread": 8} {
		t.Run(name, func(t *testing.T) {
			near, far := tcpPair(t)
			go func() {
				far.Read(make([]byte, takes))
				far.Close()
			}()
			c := configOver(t, memnet.New(1), "near", ringtest.NewRingKey().Newcomer())
			c.Transport = dialsTo{c.Transport, near}
			_, _, _, err := c.Dial(t.Context(), "far:1", wire.Hello{Role: wire.RoleMember})
			if err == nil || errors.Is(err, errs.ErrHandshake) || !strings.Contains(err.Error(), "of an earlier version, without security") {
				t.Error(err)
			}
		})
	}
}

// dialsTo is a transport whose every dial returns one connection.
type dialsTo struct {
	handshake.Transport
	conn net.Conn
}

func (d dialsTo) Dial(context.Context, string) (net.Conn, error) { return d.conn, nil }
