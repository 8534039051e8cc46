package ringtest_test

import (
	"runtime"
	"testing"
	"time"
)

// What the lists of services cost a registry, in a ring that is larger than a list of members: its nodes
// are puppets, as in TestRegistryCosts, which handle what a node with an rpc endpoint does.
//
//	go test -run ServiceListCosts -v ./internal/ringtest -scale 10000
func TestServiceListCosts(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere not all of 127.0.0.0/8 is this machine")
	}
	size := 1200
	if *scale > 0 {
		size = *scale
	}
	sent, made := make([]float64, 3), make([]float64, 3) // for each node
	for i, x := range []struct {
		name           string
		services, uses []string
	}{
		{"no services", nil, nil},
		{"an endpoint, and no node asks for its members", []string{"jobs", "jobs~answers"}, nil},
		{"an endpoint, and all nodes ask", []string{"jobs", "jobs~answers"}, []string{"jobs"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			g := newPuppets(t, 5*time.Minute)
			g.services, g.uses = x.services, x.uses
			g.joinMany(size)
			was, cpu, bytes, start := g.ask("memory"), g.ask("cpu"), g.read.Load(), time.Now()
			g.ask("setup")
			g.ask("whole")
			took, now := time.Since(start), g.ask("memory")
			t.Logf("set-up of %d: %v, %.0f ms of CPU, %.1f MB to all, %.1f MB allocated; the process holds %d MiB, and had %d MiB at its peak", size, took.Round(time.Millisecond),
				g.ask("cpu").cpuSince(cpu)/1e3, float64(g.read.Load()-bytes)/1e6, float64(now.Made-was.Made)/1e6, now.Memory>>20, now.Peak>>20)
			sent[i], made[i] = float64(g.read.Load()-bytes)/float64(size), float64(now.Made-was.Made)/float64(size)
		})
	}
	if more := sent[1] - sent[0]; more > 8<<10 { // what newcomers say: at most 1,024 are announced
		t.Errorf("services of which no node wants the members: %.0f bytes more to each node", more)
	}
	if each := (sent[2] - sent[1]) / float64(size); each > 20 {
		t.Errorf("a member on the list of a service: %.1f bytes", each)
	}
	if more := made[2] - made[1]; more > 24<<10 { // nothing that grows with the ring
		t.Errorf("a list of %d members: the registry allocated %.0f bytes more for each node that it was sent to", size, more)
	}
}
