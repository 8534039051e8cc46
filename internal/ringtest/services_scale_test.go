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
	for _, x := range []struct {
		name           string
		services, uses []string
	}{
		{"no services", nil, nil},
		{"an endpoint", []string{"jobs", "jobs~answers"}, nil},
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
		})
	}
}
