package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/load"
)

// Main runs this process as a node, and does not return, if another process has started it as
// one. Programs that use [Closed] call it first.
func Main(systems []bench.System) {
	spec, ok := os.LookupEnv(role)
	if !ok {
		return
	}
	if err := serve(spec, systems, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs a node until the orders end.
func serve(spec string, systems []bench.System, orders io.Reader, answers io.Writer) error {
	var n node
	if err := json.Unmarshal([]byte(spec), &n); err != nil {
		return err
	}
	s, err := distributed(systems, n.System)
	if err != nil {
		return err
	}
	ctx := context.Background()
	var arrived atomic.Int64
	member, err := s.Join(ctx, n.Topology, n.Number, n.Host, func(_ int, payload []byte) {
		if len(payload) == n.Topology.Payload { // as in one process
			arrived.Add(1)
		}
	})
	if err != nil {
		return err
	}
	defer member.Close()
	sender := member.Sender()
	out, in := json.NewEncoder(answers), json.NewDecoder(orders)
	if err := out.Encode(answer{Addr: member.Addr()}); err != nil {
		return err
	}
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) || o.Leave {
			return nil
		} else if err != nil {
			return err
		}
		var a answer
		switch {
		case o.Connect != nil:
			err = member.Connect(ctx, o.Connect)
		case o.Flood > 0:
			runtime.GC() // collect earlier garbage
			a.Sent, err = load.Flood(sender, n.Topology, n.Number, o.Flood)
		}
		if err != nil {
			a.Error = err.Error()
		}
		a.Arrived, a.CPU = arrived.Load(), load.ProcessorTime()
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func distributed(systems []bench.System, name string) (bench.Distributed, error) {
	for _, s := range systems {
		if d, ok := s.(bench.Distributed); ok && s.Name() == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("%q has no processes of its own", name)
}
