//go:build unix

package check

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/kv/store"
)

var processRounds = flag.Int("process.rounds", 4, "how many faults TestProcesses has")

// processes is a ring of processes with a store.
type processes struct {
	t       *testing.T
	bin     string
	addr    string
	rand    *rand.Rand
	h       history
	owners  [3][]*exec.Cmd
	clients []*store.Store
	keys    []string
	all     sync.WaitGroup // what reads their outputs
}

// Processes are killed, two in different zones at once, stopped for longer than the lease, or interrupted. Each key
// is linearizable.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	p := &processes{t: t, bin: t.TempDir(), rand: rand.New(rand.NewPCG(*firstSeed, 3))}
	if out, err := exec.Command("go", "build", "-o", p.bin, "github.com/x/ringdht/examples/registry", "github.com/x/ringdht/examples/kv").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.addr = p.start("registry", `listening on (127\.0\.0\.1:\d+)`, "-setup", "auto", "-lease", "1s", "-log", "error", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for range 2 {
		for zone := range 3 {
			p.join(zone)
		}
		n := ringdht.NewNode(ringdht.WithRetry())
		defer n.Close()
		p.clients = append(p.clients, store.New(n, -1))
		if err := n.Join(ctx, p.addr); err != nil {
			t.Fatal(err)
		}
		if err := n.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 12 {
		p.keys = append(p.keys, fmt.Sprint("key-", i))
	}
	over := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 6 {
		random := rand.New(rand.NewPCG(p.rand.Uint64(), uint64(i)))
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				case <-time.After(time.Duration(random.IntN(3)) * time.Millisecond):
					client(ctx, &p.h, p.clients[i%len(p.clients)], i, p.keys[random.IntN(len(p.keys))], random, fmt.Sprintf("%d.%d", i, n))
				}
			}
		})
	}
	p.whole(ctx)
	for i := range *processRounds {
		time.Sleep(time.Second) // requests meet it at rest
		p.fault(ctx, []os.Signal{syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTERM}[i%3])
		p.whole(ctx)
	}
	close(over)
	clients.Wait()
	for _, key := range p.keys {
		r := store.Request{Kind: store.Get}
		if err := p.h.do(100, key, r, func() (store.Answer, error) { return p.clients[0].Do(ctx, key, r) }); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	if wrong := p.h.check(); wrong != "" {
		t.Error(wrong)
	}
	t.Log(p.h.summary())
}

// start starts a program, and waits for a line. It returns what the pattern's group matches.
func (p *processes) start(name, pattern string, args ...string) (found string) {
	p.t.Helper()
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	in, err := cmd.StdinPipe() // it stays open: an end would be a command
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	if name == "kv" {
		zone := int(args[1][0] - '0')
		p.owners[zone] = append(p.owners[zone], cmd)
	}
	lines := make(chan string)
	p.all.Go(func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			if m := regexp.MustCompile(pattern).FindStringSubmatch(s.Text()); m != nil && found == "" {
				lines <- m[1]
			}
		}
	})
	p.t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	select {
	case found = <-lines:
	case <-time.After(time.Minute):
	}
	if found == "" {
		p.t.Fatalf("%s has not printed %q", name, pattern)
	}
	go func() {
		for range lines {
		}
	}()
	return found
}

// join starts an owner.
func (p *processes) join(zone int) {
	p.start("kv", `owns keys in zone (\d)\.`, "-zone", fmt.Sprint(zone), p.addr)
}

// whole waits until all keys have three copies.
func (p *processes) whole(ctx context.Context) {
	p.t.Helper()
	for _, key := range p.keys {
		for {
			_, err := p.clients[0].Do(ctx, key, store.Request{Kind: store.Refresh})
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				p.t.Fatalf("%s does not get three copies: %v", key, err)
			}
		}
	}
}

// fault sends a signal to processes in two zones.
func (p *processes) fault(ctx context.Context, signal os.Signal) {
	zone := p.rand.IntN(3)
	zones := []int{zone, (zone + 1 + p.rand.IntN(2)) % 3}
	var victims []*exec.Cmd
	for _, z := range zones {
		i := p.rand.IntN(len(p.owners[z]))
		victims = append(victims, p.owners[z][i])
		p.owners[z] = append(p.owners[z][:i:i], p.owners[z][i+1:]...)
	}
	p.t.Logf("%v in zones %v", signal, zones)
	for _, cmd := range victims {
		cmd.Process.Signal(signal)
	}
	if signal == syscall.SIGSTOP {
		p.whole(ctx) // by the others, when these are declared dead
		for i, cmd := range victims {
			cmd.Process.Signal(syscall.SIGCONT)
			p.owners[zones[i]] = append(p.owners[zones[i]], cmd)
		}
		return
	}
	for _, cmd := range victims {
		cmd.Process.Wait()
	}
	for _, z := range zones {
		p.join(z)
	}
}
