package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// family holds the processes of a ring.
type family struct {
	members []*member
	addrs   []string // of the nodes
}

// member is a node's process, as seen by the process that started it.
type member struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// spawn starts a process for each node and waits until they have joined.
func spawn(ctx context.Context, system string, t bench.Topology, host string) (*family, error) {
	f := &family{}
	if err := f.spawn(ctx, system, t, host); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *family) spawn(ctx context.Context, system string, t bench.Topology, host string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	for i := range t.Nodes {
		spec, err := json.Marshal(node{System: system, Topology: t, Number: i, Host: host})
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, program)
		cmd.Env = append(os.Environ(), role+"="+string(spec))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		f.members = append(f.members, &member{cmd, in, json.NewDecoder(out)})
	}
	f.addrs = make([]string, len(f.members))
	return f.each(func(i int, m *member) error {
		a, err := m.answer()
		f.addrs[i] = a.Addr
		return err
	})
}

// all sends an order to all nodes, waits for their answers, and sums them.
func (f *family) all(o order) (sum answer, err error) {
	var mu sync.Mutex
	err = f.each(func(_ int, m *member) error {
		if err := json.NewEncoder(m.in).Encode(o); err != nil {
			return err
		}
		a, err := m.answer()
		mu.Lock()
		sum.Sent += a.Sent
		sum.Arrived += a.Arrived
		sum.CPU += a.CPU
		mu.Unlock()
		return err
	})
	return sum, err
}

func (f *family) each(do func(int, *member) error) error {
	errs := make([]error, len(f.members))
	var wg sync.WaitGroup
	for i, m := range f.members {
		wg.Go(func() {
			if err := do(i, m); err != nil {
				errs[i] = fmt.Errorf("node %d: %w", i, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// close lets all nodes leave, and waits until they have ended.
func (f *family) close() error {
	return f.each(func(_ int, m *member) error {
		// The wait for a process that has ended reports why.
		json.NewEncoder(m.in).Encode(order{Leave: true})
		m.in.Close()
		return m.cmd.Wait()
	})
}

func (m *member) answer() (a answer, err error) {
	if err := m.out.Decode(&a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}
