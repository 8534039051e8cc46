package main

import (
	"fmt"
	"net"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/drive"
)

// A messenger that starts before its registry says once that it waits, and joins when the
// registry is there.
func TestStartsBeforeItsRegistry(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	p := drive.Start(t, run, addr)
	p.Expect(fmt.Sprintf(`^No registry answers at %s\. This messenger waits, for up to 30 s\.$`, addr))
	comesBack(t, addr)
	p.Expect(`^Registration request successful\. .* \(1\)$`)
	if text := p.Complaints(); text != "" {
		t.Errorf("complaints: %s", text)
	}
	q := drive.Start(t, run, "-ring", "other", addr) // a mistake does not wait
	if status := q.Status(); status != 1 || q.Stdout() != "" {
		t.Errorf("exit status %d, stdout %q", status, q.Stdout())
	}
}

// A messenger that waits for its ID tells the reason that the registry gives.
func TestTellsWhyItWaits(t *testing.T) {
	m := &messenger{registry: "localhost:12345"}
	err := fmt.Errorf("ringdht: joining: %w: node 5, which has that ID, is suspect: join again in a while", ringdht.ErrRebuilding)
	if got, want := m.mayPass(err), "The registry at localhost:12345 admits no new node yet: node 5, which has that ID, is suspect."; got != want {
		t.Errorf("%q", got)
	}
}

// The wait for a registry has a bound.
func TestWaitsForARegistryInVain(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	for wait, reason := range map[string]string{
		"100ms": `100ms(: tried .*, at last: .*)?$`, // a busy machine may use it up before the first attempt
		"1ns":   `1ns$`,
	} {
		p := drive.Start(t, run, "-wait", wait, addr)
		p.ExpectError(`^messenger: joining the registry at ` + addr + `: no answer within ` + reason)
		if status := p.Status(); status != 1 {
			t.Errorf("exit status %d", status)
		}
	}
}

// A messenger says that something answers, if its connections are closed without a word.
func TestTellsOfAClosedConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 8)) // the rest is unread: some connections are reset
			conn.Close()
		}
	}()
	addr := l.Addr().String()
	p := drive.Start(t, run, addr) // a busy machine might use up a short wait before the first attempt
	p.Expect(fmt.Sprintf(`^What listens at %s closes connections without an answer\. .* This messenger waits, for up to 30 s\.$`, addr))
	p.Interrupt()
	if status := p.Status(); status != 1 {
		t.Errorf("exit status %d", status)
	}
}

// The first commands of a script may be send and trace: they wait until the overlay is set up.
func TestSendsBeforeTheSetup(t *testing.T) {
	t.Parallel()
	r, addr := newRegistry(t)
	a, id := start(t, 1, addr)
	p, _ := start(t, 2, addr)
	p.Type(fmt.Sprintf("send %d hi", id))
	p.Expect(`^waiting until the overlay is set up, by setup-overlay at the registry$`)
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	p.Expect(`^Sent to \d+\.$`)
	a.Expect(`^Message from \d+ \(1 hop\): hi$`)
	p.Type(fmt.Sprintf("trace %d", id), "quit")
	if status := p.Status(); status != 0 || p.Complaints() != "" {
		t.Errorf("exit status %d, stderr %q", status, p.Stderr())
	}
}

// The command wait waits for the set-up, and for a number of nodes.
func TestWaitCommand(t *testing.T) {
	t.Parallel()
	r, addr := newRegistry(t)
	p, _ := start(t, 1, addr)
	p.Type("wait")
	p.Expect(`^waiting until the overlay is set up, by setup-overlay at the registry$`)
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	p.Expect(`^The overlay is set up\. This node knows 1 node, with itself\.$`)
	p.Type("wait 3")
	p.Expect(`^waiting: this node knows 1 of 3 nodes$`)
	start(t, 2, addr)
	start(t, 3, addr)
	p.Expect(`^The overlay is set up\. This node knows 3 nodes, with itself\.$`)
	p.Type("wait -json", "wait 0")
	p.Expect(`^{"nodes":3}$`)
	p.ExpectError(`^wait: n must be a whole number of at least 1`)
}

// A strict messenger ends at the first command that fails.
func TestStrict(t *testing.T) {
	t.Parallel()
	r, addr := newRegistry(t)
	p, _ := start(t, 1, "-strict", "-wait", "0", addr)
	p.Type("table")
	p.ExpectError(`^there is no routing table yet`)
	p.ExpectError(`^messenger: .*table`)
	if status := p.Status(); status != 1 {
		t.Errorf("exit status %d", status)
	}
	if n := len(r.Members()); n != 0 { // it has left
		t.Errorf("%d members", n)
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	_, addr := newRegistry(t)
	if _, id := start(t, 1, "-id", "123", addr); id != 123 {
		t.Errorf("its ID is %d", id)
	}
	p := drive.Start(t, run, "-id", "123", "-wait", "0", addr)
	p.ExpectError(`^messenger: .*ID already taken`)
	if _, id := start(t, 2, "-id", "0", addr); id != 0 {
		t.Errorf("its ID is %d", id)
	}
}

// A name without an address is not called a registry that does not answer.
func TestUnknownHost(t *testing.T) {
	m := messenger{registry: "ragistry:12345"}
	err := fmt.Errorf("%w: %w", ringdht.ErrRegistryLost, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "ragistry", IsNotFound: true}})
	if why := m.mayPass(err); why != "The host of ragistry:12345 is not known: check its name." {
		t.Error(why)
	}
	err = fmt.Errorf("%w: %w", ringdht.ErrRegistryLost, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "ragistry", IsTimeout: true}})
	if why := m.mayPass(err); why != "No registry answers at ragistry:12345." {
		t.Error(why)
	}
}
