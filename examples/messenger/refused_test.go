package main

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/drive"
)

// comesBack starts another registry at the address of one that has ended.
func comesBack(t *testing.T, addr string, opts ...ringdht.RegistryOption) {
	t.Helper()
	other, err := ringdht.NewRegistry(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	if _, err := other.Listen(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
}

// A new registry with other settings refuses the messenger. The messenger reports the
// registry's reason, in the words of its own flags, and goes on.
func TestRefusedForGood(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  ringdht.RegistryOption
		says string
	}{
		{"codec", ringdht.WithCodec(ringdht.JSON()), `this ring uses the codec "json", you asked for "msgpack": set the same codec on both sides \(-codec\)`},
		{"ring", ringdht.WithRing("other"), `this is ring "other", you asked for "ring": set the same name on both sides \(-ring\)`},
		{"bits", ringdht.WithBits(1), `the registry has another ring: node \d+ is a member of a ring with larger IDs, this is a 1-bit ring`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, addr := newRegistry(t)
			p, _ := start(t, 1, addr)
			r.Close()
			p.Expect(`^The registry at \S+ cannot be reached\.`)
			comesBack(t, addr, c.opt)
			p.Expect(`^The registry at \S+ refuses this node: ` + c.says + `$`)
		})
	}
}

// A messenger whose registry is replaced by one with another ring gives up its own in the end. It
// was not declared dead, and does not say so.
func TestGivesUpItsRing(t *testing.T) {
	t.Parallel()
	lease := ringdht.WithLease(200 * time.Millisecond)
	r, addr := newRegistry(t, lease)
	p, _ := start(t, 1, addr)
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	another, at := newRegistry(t, lease)
	n := ringdht.NewNode()
	defer n.Close()
	if err := n.Join(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if _, err := another.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	p.Type("wait")
	p.Expect(`^The overlay is set up\.`) // the node has its ring
	r.Close()
	p.Expect(`^The registry at \S+ cannot be reached\.`)
	if _, err := another.Listen(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	p.Expect(`^The registry at \S+ refuses this node: .*is a member of ring`)
	p.Expect(`^Node \d+ has given up its ring, which this registry does not have\. It has joined again, `)
}

// A registry that is rebuilding the membership confirms no leave. A messenger with nothing
// left to deliver does not wait for that, and it is no error.
func TestLeavesWhileRebuilding(t *testing.T) {
	t.Parallel()
	r, addr := newRegistry(t)
	p, _ := start(t, 1, addr)
	start(t, 2, addr)
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	r.Close()
	p.Expect(`^The registry at \S+ cannot be reached\.`)
	comesBack(t, addr, ringdht.WithGrace(time.Hour))
	p.Expect(`^The registry at \S+ is back\.$`)
	p.Interrupt()
	if status := p.Status(); status != 0 || p.Complaints() != "" {
		t.Errorf("exit status %d, stderr %q", status, p.Stderr())
	}
	p.Expect(`^exited overlay$`)
}

// A messenger that is interrupted while it joins says so. It does not print the error of the
// call that was interrupted.
func TestInterruptedJoin(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "localhost:0") // it accepts, and does not answer
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := drive.Start(t, run, l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.Interrupt()
	if status, want := p.Status(), fmt.Sprintf("messenger: interrupted while joining the registry at %s\n", l.Addr()); status != 1 || p.Complaints() != want {
		t.Errorf("exit status %d, stderr %q", status, p.Stderr())
	}
}
