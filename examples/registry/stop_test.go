package main

import (
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/drive"
)

// While a run is in the background, other commands work, and the overlay can be set up. A run that
// is stopped prints its account so far, and the next one is exact.
func TestStop(t *testing.T) {
	t.Parallel()
	p, addr := start(t)
	join(t, addr, 4)
	p.Type("stop", "setup 1", "start 2000000000 &")
	p.Expect(`^There is no run to stop\.$`)
	p.Expect(`^sent [1-9]\d* of 8000000000 messages \(\d+ %\)$`)
	p.Type("list", "setup 2", "runs")
	p.Expect(`^host +port +ID$`)
	p.Expect(`^epoch 2: 4 nodes with 2 entries, all 12 routes arrive`)
	p.Expect(ready)
	p.Expect(`^Run 1 is under way: \d+ of 8000000000 messages are sent\.$`)
	p.Type("stop")
	sum := p.Expect(`^Sum +(\d+) +(\d+) +\d+ +(-?\d+) +(-?\d+)$`)
	if sum[1] != sum[2] || sum[3] != sum[4] {
		t.Errorf("the account is %q", sum[0])
	}
	p.Expect(`^Verdict: stopped: exact, ` + sum[1] + ` of 8000000000 messages were sent$`)
	p.Expect(`^Stopped: start 2000000000 &$`)
	p.Type("start 100", "stop")
	p.Expect(`^Sum +400 +400 `)
	p.Expect(`^Verdict: exact$`)
	p.Expect(`^There is no run to stop\.$`)
}

// The end of the program stops a run, and prints its account.
func TestQuitStops(t *testing.T) {
	t.Parallel()
	p, addr := start(t)
	join(t, addr, 2)
	p.Type("setup", "start 2000000000 &")
	p.Expect(`^sent [1-9]\d* of 4000000000 messages \(\d+ %\)$`)
	p.Type("quit")
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	p.Expect(`^Verdict: stopped: exact, \d+ of 4000000000 messages were sent$`)
}

// A strict registry ends with status 1 at the first command that fails, and at the first verdict
// other than exact.
func TestStrict(t *testing.T) {
	t.Parallel()
	p := drive.Start(t, run, "-strict", "localhost:0")
	p.Type("list", "summary")
	if status := p.Status(); status != 1 {
		t.Errorf("exit status %d", status)
	}
	p.ExpectError(`^there is no summary yet`)
	p.ExpectError(`^registry: .*summary`)

	q, addr := start(t, "-strict")
	nodes := join(t, addr, 3)
	q.Type("setup", "start 2000000000 &")
	q.Expect(`^sent [1-9]\d* of `)
	nodes[0].Close()
	q.Type("stop")
	if status := q.Status(); status != 1 {
		t.Errorf("exit status %d", status)
	}
	q.Expect(`^Verdict: (stopped: )?balanced`)
	q.ExpectError(`^registry: .*start 2000000000`)
}

// A registry that was restarted says that members of its ring may come back first. A run waits for
// that, and a messenger joins then.
func TestRunAfterARestart(t *testing.T) {
	t.Parallel()
	lease := time.Second
	r, err := ringdht.NewRegistry(ringdht.WithLease(lease))
	if err != nil {
		t.Fatal(err)
	}
	at, err := r.Listen(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	nodes := join(t, at.String(), 3)
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	r.Close()
	for _, n := range nodes {
		<-n.Disconnected()
	}
	// Within the grace the first member must be back, and the command typed, on a busy machine.
	p := drive.Start(t, run, "-lease", "3s", "-grace", "10s", "-log", "error", at.String())
	p.Expect(`^Registry listening`)
	back := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() { back <- n.WaitConnected(t.Context()) }()
	}
	if err := <-back; err != nil { // the first one begins the time that the others have to come back
		t.Fatal(err)
	}
	p.Type("start 10")
	waited := 0
	for p.Expect(`^(waiting: .*has restarted, and the members of the earlier ring may come back first.*|Verdict: exact)$`)[1] != "Verdict: exact" {
		waited++
	}
	if waited == 0 {
		t.Errorf("it does not say that it waits:\n%s", p.Stdout())
	}
	if text := p.Complaints(); text != "" {
		t.Errorf("complaints: %s", text)
	}
}
