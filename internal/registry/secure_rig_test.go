package registry_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// rawNode is a process of a secure ring without a node behind it: it answers probes at its address,
// and a test sends its messages.
type rawNode struct {
	t    *testing.T
	net  *memnet.Network
	addr string
	line secure.JoinLine
	*ringtest.Credentials
	listener net.Listener
	showing  sync.Mutex // held while the admission in Credentials is read or set

	// of the latest registration
	conn      *control.Conn
	heard     chan heardMessage // of a member, closed at the end of its connection
	proof     secure.Proof
	id, inc   uint64
	admission secure.Admission
	trust     control.Trust
}

// processes counts the raw nodes of a test, which have hosts of their own.
var processes struct {
	sync.Mutex
	n int
}

// newProcess starts a process that knows a join line.
func newProcess(t *testing.T, network *memnet.Network, line string, host ...string) *rawNode {
	t.Helper()
	j, err := secure.ParseJoinLine(line)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := &rawNode{t: t, net: network, line: j, Credentials: &ringtest.Credentials{Key: key, Trust: secure.Trust{Pin: &j.Pin}}}
	processes.Lock()
	processes.n++
	name := fmt.Sprintf("raw%d", processes.n)
	processes.Unlock()
	if len(host) > 0 {
		name = host[0]
	}
	n.addr = name + ":5"
	n.listener, err = network.Host(name).Listen(t.Context(), n.addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := n.config()
	go func() {
		for {
			conn, err := n.listener.Accept()
			if err != nil {
				return
			}
			cfg.Welcome(conn, func(wire.Hello, secure.Proof) wire.Answer { return wire.Answer{} })
			conn.Close()
		}
	}()
	t.Cleanup(n.end)
	return n
}

// show sets the admission that the process shows; nil for none.
func (n *rawNode) show(admission []byte) {
	n.showing.Lock()
	defer n.showing.Unlock()
	n.Credentials.Admission = admission
}

// Certificate implements handshake.Security.
func (n *rawNode) Certificate(ctx context.Context, protocol string) (*tls.Certificate, error) {
	n.showing.Lock()
	defer n.showing.Unlock()
	return n.Credentials.Certificate(ctx, protocol)
}

// end ends the process.
func (n *rawNode) end() {
	n.listener.Close()
	n.hangUp()
}

func (n *rawNode) hangUp() {
	if n.conn != nil {
		n.conn.Close()
		n.conn = nil
	}
	if n.heard != nil {
		for range n.heard {
		}
		n.heard = nil
	}
}

// heardMessage is a message of the registry.
type heardMessage struct {
	t    wire.Type
	body []byte
}

// listen reads what a member is told. It confirms tables, as a node does when it has links.
func (n *rawNode) listen() {
	heard, conn := make(chan heardMessage, 4096), n.conn
	n.heard = heard
	go func() {
		defer close(heard)
		for {
			t, body, err := conn.Recv()
			if err != nil {
				return
			}
			var told struct {
				Epoch uint64 `json:"epoch"`
			}
			if (t == control.TypeManifest || t == control.TypeUpdate) && conn.Decode(body, &told) == nil {
				conn.Send(control.TypeLinked, control.Linked{Epoch: told.Epoch})
			}
			heard <- heardMessage{t, slices.Clone(body)}
		}
	}()
}

func (n *rawNode) config() *handshake.Config {
	c := ringtest.DialConfig()
	host, _, _ := net.SplitHostPort(n.addr)
	c.Transport = n.net.Host(host)
	if err := c.Prepare(1 << 10); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.Records.Close)
	c.Security = n
	return c
}

// dial connects to the registry.
func (n *rawNode) dial() error {
	n.hangUp()
	conn, _, proof, err := n.config().Dial(n.t.Context(), n.line.Addr, wire.Hello{Role: wire.RoleMember})
	if err != nil {
		return err
	}
	n.proof = proof
	n.conn = control.NewConn(conn, ringdht.Msgpack(), 1<<20)
	return nil
}

// proveSecret is the proof of a secret on the present connection.
func (n *rawNode) proveSecret(s secure.Secret) string {
	n.t.Helper()
	b, err := secure.JoinProof(s, n.proof.State, secure.KeyOf(n.Key))
	if err != nil {
		n.t.Fatal(err)
	}
	return secure.Text(b)
}

// ask sends a registration over the present connection, and returns the refusal, nil if it is a
// member now.
func (n *rawNode) ask(req control.Register) *control.Refused {
	n.t.Helper()
	if req.Addr == "" {
		req.Addr = n.addr
	}
	req.Other = true
	if err := n.conn.Send(control.TypeRegister, req); err != nil {
		n.t.Fatal(err)
	}
	t, body, err := n.conn.Recv()
	if err != nil {
		n.t.Fatal(err)
	}
	if t == control.TypeRefused {
		var r control.Refused
		n.decode(body, &r)
		return &r
	}
	var r control.Registered
	n.decode(body, &r)
	n.id, n.inc = r.ID, r.Incarnation
	n.admit(r.Admission)
	if !n.admission.Since.Equal(time.UnixMilli(r.Time)) {
		n.t.Errorf("admitted at %v, the registry's time is %v", n.admission.Since, r.Time)
	}
	n.listen()
	if err := n.next(control.TypeTrust, &n.trust); err != nil {
		n.t.Fatal("no trust behind the admission: ", err)
	}
	return nil
}

// admit takes an admission of the registry.
func (n *rawNode) admit(text string) {
	n.t.Helper()
	b, err := secure.Bytes(text, secure.AdmissionSize)
	if err != nil {
		n.t.Fatal(err)
	}
	a, err := secure.ParseAdmission(b)
	if err != nil {
		n.t.Fatal(err)
	}
	if a.Key != secure.KeyOf(n.Key) || a.ID != n.id || a.Incarnation != n.inc {
		n.t.Fatalf("the admission is %+v, of node %d, incarnation %d", a, n.id, n.inc)
	}
	n.admission = a
	n.show(b)
}

func (n *rawNode) decode(body []byte, v any) {
	n.t.Helper()
	if err := n.conn.Decode(body, v); err != nil {
		n.t.Fatal(err)
	}
}

// next receives the next message, which must be of a type.
func (n *rawNode) next(want wire.Type, v any) error {
	n.t.Helper()
	m, ok := <-n.heard
	switch {
	case !ok:
		return io.EOF
	case m.t != want:
		return fmt.Errorf("a message of type %#x, want %#x", m.t, want)
	}
	n.decode(m.body, v)
	return nil
}

// until receives messages up to one of a type.
func (n *rawNode) until(want wire.Type, v any) {
	n.t.Helper()
	for m := range n.heard {
		if m.t == want {
			n.decode(m.body, v)
			return
		}
	}
	n.t.Fatalf("the connection has ended before a message of type %#x", want)
}

// tryJoin joins by the secret of the join line, as a new process does.
func (n *rawNode) tryJoin(change ...func(*control.Register)) *control.Refused {
	n.t.Helper()
	n.show(nil)
	if err := n.dial(); err != nil {
		n.t.Fatal(err)
	}
	req := control.Register{Proof: n.proveSecret(n.line.Secret)}
	for _, f := range change {
		f(&req)
	}
	return n.ask(req)
}

func (n *rawNode) join(change ...func(*control.Register)) *rawNode {
	n.t.Helper()
	if refused := n.tryJoin(change...); refused != nil {
		n.t.Fatalf("refused: %d %s", refused.Code, refused.Reason)
	}
	return n
}

// comeBack registers over a new connection, with the admission.
func (n *rawNode) comeBack(req control.Register) *control.Refused {
	n.t.Helper()
	if err := n.dial(); err != nil {
		n.t.Fatal(err)
	}
	return n.ask(req)
}

// resume is the registration of an incarnation that goes on.
func (n *rawNode) resume() control.Register {
	return control.Register{ID: n.id, Incarnation: n.inc, Ready: true}
}

// secureRing starts the registry of a secure ring, over a network in memory.
func secureRing(t *testing.T, opts ...ringdht.RegistryOption) *ringtest.Ring {
	t.Helper()
	return ringtest.New(t, memnet.New(1), append([]ringdht.RegistryOption{ringdht.WithSecurity(0)}, opts...)...)
}

func lineOf(t *testing.T, tr *ringtest.Ring, token ...uint32) string {
	t.Helper()
	line, err := tr.Registry.JoinLine(tr.Addr, token...)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func newToken(t *testing.T, tr *ringtest.Ring, terms status.TokenTerms) status.Token {
	t.Helper()
	n, err := tr.Registry.NewToken(t.Context(), terms)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// refusedFor checks a refusal, and that the operator sees it.
func refusedFor(t *testing.T, tr *ringtest.Ring, refused *control.Refused, code control.Code, cause status.Refusal, text string) {
	t.Helper()
	if refused == nil || refused.Code != code {
		t.Errorf("%v, want a refusal with code %d", refused, code)
		return
	}
	if !contains(refused.Reason, text) {
		t.Errorf("the reason is %q, want %q", refused.Reason, text)
	}
	s := tr.Registry.Snapshot().Security
	if s.Refusals[cause] == 0 {
		t.Errorf("%q is not counted: %v", cause, s.Refusals)
	}
	for _, one := range s.Strangers {
		if one.Cause == cause && one.Times > 0 && one.From != "" {
			return
		}
	}
	t.Errorf("no stranger is listed for %q: %+v", cause, s.Strangers)
}
