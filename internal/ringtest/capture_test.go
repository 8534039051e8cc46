package ringtest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/status"
)

// capture is what a wire tap at every cable of a ring has seen: all bytes of all connections, each
// direction of each by itself.
type capture struct {
	mu    sync.Mutex
	flows []*bytes.Buffer
}

// cable is the transport of one process over TCP. Both directions of the connections that it dials
// are captured. Every connection of a ring is dialled by one of its processes.
type cable struct {
	ringdht.TCP
	to *capture

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

func newCable(to *capture) *cable { return &cable{to: to, conns: make(map[net.Conn]struct{})} }

var errCut = errors.New("the cable is cut")

// keep remembers a connection, or closes it if the cable is cut.
func (c *cable) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		conn.Close()
		return false
	}
	c.conns[conn] = struct{}{}
	return true
}

// setCut cuts the cable, or mends it.
func (c *cable) setCut(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for conn := range c.conns {
		conn.Close()
	}
	clear(c.conns)
}

func (c *cable) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := c.TCP.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if !c.keep(conn) {
		return nil, errCut
	}
	out, in := new(bytes.Buffer), new(bytes.Buffer)
	c.to.mu.Lock()
	c.to.flows = append(c.to.flows, out, in)
	c.to.mu.Unlock()
	return &capturedConn{Conn: conn, to: c.to, out: out, in: in}, nil
}

func (c *cable) Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := c.TCP.Listen(ctx, addr)
	return &cutListener{l, c}, err
}

type cutListener struct {
	net.Listener
	c *cable
}

func (l *cutListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.c.keep(conn) {
			return conn, err
		}
	}
}

type capturedConn struct {
	net.Conn
	to      *capture
	out, in *bytes.Buffer
}

func (c *capturedConn) Write(b []byte) (int, error) {
	c.to.mu.Lock()
	c.out.Write(b)
	c.to.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *capturedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.to.mu.Lock()
	c.in.Write(b[:n])
	c.to.mu.Unlock()
	return n, err
}

// find returns the names of those texts that are in the capture.
func (c *capture) find(secrets map[string][]byte) (found []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, s := range secrets {
		if slices.ContainsFunc(c.flows, func(b *bytes.Buffer) bool { return bytes.Contains(b.Bytes(), s) }) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// size returns how many bytes and flows there are.
func (c *capture) size() (n, flows int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.flows {
		n += b.Len()
	}
	return n, len(c.flows)
}

// tapped is a ring over TCP whose cables are all tapped, and what must not be seen.
type tapped struct {
	*ringtest.Ring
	*capture
	cables  []*cable
	secrets map[string][]byte
}

const tappedName = "a ring whose name is not for others"

// live has a ring do all that rings do, and collects what a stranger would like to know of it.
func live(t *testing.T, safe bool) *tapped {
	to := new(capture)
	s := &tapped{capture: to, secrets: make(map[string][]byte)}
	start := ringtest.New
	if safe {
		start = ringtest.NewSecure
	}
	s.Ring = start(t, nil, ringdht.WithBits(64), ringdht.WithLease(3*time.Second), ringdht.WithTransport(newCable(to)), ringdht.WithRing(tappedName))
	got := make(chan string, 100)
	for i := range 5 {
		s.cables = append(s.cables, newCable(to))
		s.Join(func(_ context.Context, m ringdht.Message) { got <- string(m.Body) },
			ringdht.WithTraffic(), ringdht.WithTransport(s.cables[i]), ringdht.WithID(0x1122334455667788*ringdht.ID(i+1)))
	}
	s.Setup(1) // so that messages are relayed
	for i, n := range s.Nodes {
		s.note(fmt.Sprint("ID of node ", i), uint64(n.ID()))
		s.note(fmt.Sprint("incarnation of node ", i), n.Incarnation())
		s.secrets[fmt.Sprint("address of node ", i)] = []byte(n.Peer().Addr)
	}
	s.secrets["ring's name"], s.secrets["codec"], s.secrets["magic"] = []byte(tappedName), []byte("msgpack"), []byte("RDHT")
	s.talk(got, "before")
	s.Run(status.Traffic{Messages: 300})

	for _, n := range s.Nodes { // the sessions end, and go on over new connections
		ringtest.NodeOf(n).HangUp()
	}
	for _, n := range s.Nodes {
		if err := n.WaitConnected(s.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	n := s.Nodes[1] // taken for dead, it joins again
	inc := n.Incarnation()
	s.cables[1].setCut(true)
	s.WaitGone(n.ID())
	s.cables[1].setCut(false)
	if err := ringtest.NodeOf(n).Await(s.Ctx(), func() bool { return n.Incarnation() != inc }); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(s.Ctx()); err != nil {
		t.Fatal(err)
	}
	s.WaitSettled()
	s.note("incarnation of the node that is back", n.Incarnation())
	s.talk(got, "behind")

	gone := s.Nodes[4]
	if safe {
		s.addCredentials(t)
		if err := s.Registry.RotateKey(s.Ctx()); err != nil {
			t.Fatal(err)
		}
		if err := s.Registry.Expel(s.Ctx(), gone.ID()); err != nil {
			t.Fatal(err)
		}
	}
	s.Remove(gone)
	gone.Close()
	s.WaitGone(gone.ID())
	s.WaitSettled()
	s.Run(status.Traffic{Messages: 300})
	return s
}

func (s *tapped) note(name string, v uint64) {
	s.secrets[name] = binary.BigEndian.AppendUint64(nil, v)
}

// talk sends messages of known bodies between all pairs, short and long, and casts.
func (s *tapped) talk(got <-chan string, when string) {
	want := 0
	for i, n := range s.Nodes {
		for j, to := range s.Nodes {
			if i == j {
				continue
			}
			body := fmt.Sprintf("%s: from %d to %d, and to no other", when, i, j)
			s.secrets[body] = []byte(body)
			if j%2 == 1 {
				body += strings.Repeat(" long", 3000)
			}
			if err := n.Send(s.Ctx(), to.ID(), []byte(body)); err != nil {
				s.T.Fatal(err)
			}
			want++
		}
		cast := fmt.Sprintf("%s: a cast of %d", when, i)
		s.secrets[cast] = []byte(cast)
		if err := n.Cast(s.Ctx(), s.Nodes[(i+2)%len(s.Nodes)].ID(), []byte(cast)); err != nil {
			s.T.Fatal(err)
		}
	}
	for _, n := range s.Nodes {
		if err := n.Flush(s.Ctx()); err != nil {
			s.T.Fatal(err)
		}
	}
	for range want {
		<-got
	}
}

// addCredentials adds what only a secure ring has, in each form in which it might travel.
func (s *tapped) addCredentials(t *testing.T) {
	line, err := secure.ParseJoinLine(s.Line())
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{"join secret": line.Secret[:], "pin": line.Pin[:]}
	for i, n := range s.Nodes {
		cert, err := ringtest.NodeOf(n).Config().Security.Certificate(t.Context(), secure.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		a := admissionIn(t, cert.Certificate[0])
		secrets[fmt.Sprint("certificate of node ", i)] = cert.Certificate[0]
		secrets[fmt.Sprint("admission of node ", i)] = a
		secrets[fmt.Sprint("key of node ", i)] = a[len(a)-64-32 : len(a)-64]
		secrets[fmt.Sprint("signature of node ", i)] = a[len(a)-64:]
		secrets["ring's number"] = a[len("ringdht admission 1"):][:8]
	}
	secrets["heading of admissions"] = []byte("ringdht admission")
	for name, b := range secrets {
		s.secrets[name] = b
		s.secrets[name+", as text"] = []byte(secure.Text(b))
		s.secrets[name+", in base 64"] = []byte(base64.StdEncoding.EncodeToString(b))
		s.secrets[name+", in hex"] = []byte(hex.EncodeToString(b))
	}
	_, text, _ := strings.Cut(s.Line(), "/")
	for part := range strings.SplitSeq(text, "-") {
		s.secrets["join line "+part[:4]] = []byte(part)
	}
}

// admissionIn cuts the admission out of a node's certificate.
func admissionIn(t *testing.T, der []byte) []byte {
	t.Helper()
	at := bytes.Index(der, []byte("ringdht admission 1"))
	if at < 0 {
		t.Fatal("a certificate without an admission")
	}
	return der[at : at+secure.AdmissionSize]
}

// A packet capture of a whole secure ring over TCP, from the first join to the last run, has no body,
// no ID, no incarnation, no address, no name, no credential. The same search finds all of it in an
// open ring's.
func TestCaptureOfARing(t *testing.T) {
	safe := live(t, true)
	if found := safe.find(safe.secrets); len(found) > 0 {
		t.Errorf("in the bytes of a secure ring are: %q", found)
	}
	bytes, flows := safe.size()
	t.Logf("secure: %d bytes of %d connections, searched for %d secrets", bytes, flows/2, len(safe.secrets))
	if flows < 20 || bytes < 100_000 {
		t.Error("so few are not those of a ring")
	}
	if ringtest.AllSecure {
		return
	}
	open := live(t, false)
	bytes, flows = open.size()
	t.Logf("open: %d bytes of %d connections", bytes, flows/2)
	if found := open.find(open.secrets); len(found) != len(open.secrets) {
		for name := range open.secrets {
			if !slices.Contains(found, name) {
				t.Errorf("the search does not find %q in the bytes of an open ring", name)
			}
		}
	}
}
