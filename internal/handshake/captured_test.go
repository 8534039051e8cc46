package handshake_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"runtime/metrics"
	"sync"
	"testing"

	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// tap keeps what goes over the connections that are dialled.
type tap struct {
	*memnet.Host
	mu        sync.Mutex
	out, back bytes.Buffer
}

func (t *tap) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := t.Host.Dial(ctx, addr)
	return &tapped{conn, t}, err
}

type tapped struct {
	net.Conn
	tap *tap
}

func (c *tapped) Write(b []byte) (int, error) {
	c.tap.mu.Lock()
	c.tap.out.Write(b)
	c.tap.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.tap.mu.Lock()
	c.tap.back.Write(b[:n])
	c.tap.mu.Unlock()
	return n, err
}

// converse has a node link to another, send a body and receive one. It returns what went over the
// connection.
func converse(t *testing.T, dials, accepts *ringtest.Credentials, h wire.Hello, there, back []byte) (out, in []byte) {
	t.Helper()
	network := memnet.New(1)
	near, far := configOver(t, network, "near", security(dials)), configOver(t, network, "far", security(accepts))
	spy := &tap{Host: network.Host("near")}
	near.Transport = spy
	l, err := far.Transport.Listen(t.Context(), "far:1")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		over, _, _, err := far.Welcome(conn, func(wire.Hello, secure.Proof) wire.Answer { return wire.Answer{} })
		if err == nil {
			_, err = io.ReadFull(over, make([]byte, len(there)))
		}
		if err == nil {
			_, err = over.Write(back)
		}
		done <- err
	}()
	conn, _, _, err := near.Dial(t.Context(), "far:1", h)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(there); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, len(back))); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return spy.out.Bytes(), spy.back.Bytes()
}

// What a secure ring sends shows no body, no ID, no incarnation and no name. The same search finds
// all of them in an open ring's bytes.
func TestNothingIsInTheOpen(t *testing.T) {
	const id, incarnation, to, toIncarnation = 0x1122334455667788, 0x99aabbccddeeff01, 0x2132435465768798, 0xa9bacbdcedfe0f10
	key := ringtest.NewRingKey()
	h := wire.Hello{Role: wire.RoleLink, From: id, FromIncarnation: incarnation, To: to, ToIncarnation: toIncarnation}
	there, back := []byte("a body that is not for others"), []byte("nor is this one")
	c := ringtest.DialConfig()
	secrets := map[string][]byte{"body": there, "body back": back, "ring": []byte(c.RingName), "codec": []byte(c.Codec.Name()), "magic": []byte("RDHT")}
	for name, v := range map[string]uint64{"id": id, "incarnation": incarnation, "to": to, "to's incarnation": toIncarnation} {
		secrets[name] = binary.BigEndian.AppendUint64(nil, v)
	}
	find := func(dials, accepts *ringtest.Credentials) (found []string) {
		out, in := converse(t, dials, accepts, h, there, back)
		for name, b := range secrets {
			if bytes.Contains(out, b) || bytes.Contains(in, b) {
				found = append(found, name)
			}
		}
		return found
	}
	near, far := key.Member(id, incarnation), key.Member(to, toIncarnation)
	own := secure.KeyOf(near.Key)
	secrets["admission"], secrets["key"] = near.Admission, own[:]
	if found := find(near, far); len(found) > 0 {
		t.Errorf("in the open: %v", found)
	}
	if found := find(nil, nil); len(found) != len(secrets)-2 {
		t.Errorf("an open ring shows %v only", found)
	}
}

// The bytes of a handshake are worth nothing on another connection.
func TestReplayIsRefused(t *testing.T) {
	key := ringtest.NewRingKey()
	h := wire.Hello{Role: wire.RoleLink, From: 1, FromIncarnation: 11, To: 2, ToIncarnation: 22}
	far := key.Member(2, 22)
	recorded, _ := converse(t, key.Member(1, 11), far, h, []byte("x"), []byte("y"))
	err := accepted(t, far, func(conn net.Conn) {
		go conn.Write(recorded)
		io.Copy(io.Discard, conn)
	})
	if err == nil {
		t.Fatal("a recorded handshake was accepted")
	}
	t.Log(err)
}

// No session is resumed: an expelled node would go on with a ticket. Nor can keys be negotiated
// again, which TLS 1.3 does not have.
func TestNoResumption(t *testing.T) {
	key := ringtest.NewRingKey()
	cache := tls.NewLRUClientSessionCache(8)
	kept := &countingCache{ClientSessionCache: cache}
	near := key.Newcomer()
	hello, err := wire.Hello{Role: wire.RoleMember, Codec: ringtest.DialConfig().Codec.Name(), RingName: ringtest.DialConfig().RingName}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		err := accepted(t, key.Registry(), func(conn net.Conn) {
			client := tls.Client(conn, &tls.Config{
				InsecureSkipVerify: true, ServerName: "registry", NextProtos: []string{secure.JoinProtocol},
				Certificates: certificate(t, near), ClientSessionCache: kept,
			})
			client.Write(hello)
			if _, err := wire.ReadAnswer(client); err != nil || client.ConnectionState().DidResume || client.ConnectionState().Version != tls.VersionTLS13 {
				t.Error(err, client.ConnectionState().DidResume)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if kept.puts > 0 {
		t.Errorf("%d tickets were given", kept.puts)
	}
}

type countingCache struct {
	tls.ClientSessionCache
	puts int
}

func (c *countingCache) Put(key string, cs *tls.ClientSessionState) {
	if cs != nil {
		c.puts++
	}
	c.ClientSessionCache.Put(key, cs)
}

// FuzzWelcome gives both kinds of ports any bytes. None is accepted but a hello in the open at the
// open one. Memory stays bounded.
func FuzzWelcome(f *testing.F) {
	key := ringtest.NewRingKey()
	c := ringtest.DialConfig()
	hello, err := wire.Hello{Role: wire.RoleMember, Codec: c.Codec.Name(), RingName: c.RingName}.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	var clientHello []byte
	near, far := memnet.Pipe()
	go func() {
		tls.Client(near, secure.Side{}.Client(secure.JoinProtocol)).Handshake()
	}()
	clientHello = make([]byte, 4096)
	n, _ := far.Read(clientHello)
	far.Close()
	clientHello = clientHello[:n]
	for _, b := range [][]byte{nil, hello, hello[:20], clientHello, clientHello[:9], []byte("GET / HTTP/1.1\r\n\r\n"), {0x16, 3, 3, 0xff, 0xff}, {0x80, 0x2e, 1, 3, 1}, {0x15, 3, 1, 0, 2, 2, 40}} {
		f.Add(b, false)
		f.Add(b, true)
	}
	registry := key.Registry()
	f.Fuzz(func(t *testing.T, b []byte, secured bool) {
		if len(b) > 60000 {
			return
		}
		var side *ringtest.Credentials
		if secured {
			side = registry
		}
		before := allocated()
		err := accepted(t, security(side), func(conn net.Conn) {
			conn.Write(b) // it fits
			conn.(interface{ CloseWrite() error }).CloseWrite()
			io.Copy(io.Discard, conn)
		})
		if err == nil && (secured || !bytes.HasPrefix(b, []byte("RDHT"))) {
			t.Errorf("%q was accepted", b)
		}
		if grown := allocated() - before; grown > 4<<20 {
			t.Errorf("%d bytes of input cost %d bytes", len(b), grown)
		}
	})
}

// allocated returns the bytes that the process has ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
