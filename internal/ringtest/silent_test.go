package ringtest_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/health"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/status"
)

// siegeRole has the test binary besiege a port, see siege.
const siegeRole = "RINGDHT_TEST_SIEGE"

var silentConns = flag.Int("silent", 600, "how many silent connections TestJoinsAmongSilentConnections keeps at each port, and a tenth of them beside that send a byte a second")

// siege is what one process holds against one port. What is closed comes again.
type siege struct {
	addr   string
	silent int
	slow   int    // that send a byte a second of
	text   string // the beginning of what the port expects
}

// start runs the siege in a process of its own, since descriptors are counted by process. It returns
// when as many connections have been made as there are to be, or the port lets no more in.
func (s siege) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), siegeRole+"="+fmt.Sprintf("%s %d %d %q", s.addr, s.silent, s.slow, s.text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		all, _ := io.ReadAll(out)
		cmd.Wait()
		t.Logf("%d silent and %d slow connections at %s: %s", s.silent, s.slow, s.addr, all)
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// siegeProcess is the process. It ends when its input does.
func siegeProcess(value string) {
	var s siege
	if _, err := fmt.Sscanf(value, "%s %d %d %q", &s.addr, &s.silent, &s.slow, &s.text); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var made, up, most atomic.Int64
	var wg sync.WaitGroup
	for i := range s.silent + s.slow {
		wg.Go(func() {
			for ctx.Err() == nil {
				conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.addr)
				if err != nil {
					handshake.Sleep(ctx, 10*time.Millisecond)
					continue
				}
				made.Add(1)
				most.Store(max(most.Load(), up.Add(1)))
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				if i < s.slow {
					go s.drip(ctx, conn)
				}
				io.Copy(io.Discard, conn) // until the other side closes it
				stop()
				conn.Close()
				up.Add(-1)
				handshake.Sleep(ctx, time.Second)
			}
		})
	}
	for start := time.Now(); made.Load() < int64(s.silent+s.slow) && time.Since(start) < 20*time.Second; {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Print(".")
	io.Copy(io.Discard, os.Stdin)
	cancel()
	wg.Wait()
	fmt.Printf("%d were made, %d were open at once", made.Load(), most.Load())
}

// drip sends a byte a second.
func (s siege) drip(ctx context.Context, conn net.Conn) {
	for i := range len(s.text) {
		if _, err := conn.Write([]byte(s.text[i : i+1])); err != nil || handshake.Sleep(ctx, time.Second) != nil {
			return
		}
	}
}

// servePage serves a ring's page and probes, as the programs do.
func servePage(t *testing.T, tr *ringtest.Ring) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", dashboard.Handler(tr.Registry))
	mux.Handle("/healthz", health.Handler(tr.Registry.ReadyNow))
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	health.Limit(s, 256)
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Close(); wg.Wait() })
	return l.Addr().String()
}

// Nodes join, a run is exact and the page is served while the registry, a node and the page are full
// of connections that say nothing, or what is expected a byte a second. What is closed comes again.
// Afterwards this process has the goroutines and descriptors that it had. The full siege:
//
//	go test -vet=off -run JoinsAmongSilent -v ./internal/ringtest -silent 10000
func TestJoinsAmongSilentConnections(t *testing.T) {
	for _, name := range []string{"open", "secure"} {
		for _, ports := range []string{"the registry's port", "every port"} {
			t.Run(name+" ring, "+ports, func(t *testing.T) {
				besieged(t, name == "secure", ports == "every port")
			})
		}
	}
}

func besieged(t *testing.T, safe, everywhere bool) {
	start, text := ringtest.New, "RDHT\x01\x02\x00\x40"
	if safe {
		start, text = ringtest.NewSecure, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	}
	tr := start(t, nil)
	for range 4 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	page := servePage(t, tr)
	tr.Setup(2)
	each := 200 * *silentConns // enough to measure the speed
	if ringtest.RaceEnabled {
		each /= 20
	}
	run := func(when string) {
		t.Helper()
		start, cpu := time.Now(), ringtest.CPUTime()
		s := tr.Run(status.Traffic{Messages: each})
		took, used := time.Since(start), ringtest.CPUTime()-cpu
		t.Logf("%s: %.2f million messages a second, %.2f a second of this process's CPU time, of which it had %.2f a second", when,
			float64(s.Sum.Received)/1e6/took.Seconds(), float64(s.Sum.Received)/1e6/used.Seconds(), used.Seconds()/took.Seconds())
	}
	run("at first")
	run("before the siege")
	before := filesOpen()
	t.Run("under siege", func(t *testing.T) {
		siege{tr.Addr, *silentConns, *silentConns / 10, text}.start(t)
		if everywhere {
			siege{tr.Nodes[0].Peer().Addr, *silentConns, *silentConns / 10, text}.start(t)
			siege{page, *silentConns, *silentConns / 10, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"}.start(t)
		}
		for range 1 + *silentConns/5000 {
			assess(t, tr, page, func() { run("during the siege") })
			if *silentConns >= 2000 { // the full siege outlasts the times that connections are given
				time.Sleep(2 * time.Second)
			}
		}
	})
	ringtest.WaitUntil(t, "all descriptors are given back", func() bool { return filesOpen() <= before })
	run("afterwards")
}

// assess has nodes join and leave, and asks for the page.
func assess(t *testing.T, tr *ringtest.Ring, page string, run func()) {
	began := time.Now()
	for range 4 {
		// Retry: all of this comes from one address, whose connections may crowd each other out.
		tr.Join(nil, ringdht.WithTraffic(), ringdht.WithRetry())
	}
	t.Logf("four nodes have joined in %v", time.Since(began))
	tr.WaitSettled()
	run()
	for _, path := range []string{"/", "/healthz"} {
		began := time.Now()
		if err := get("http://" + page + path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		t.Logf("%s is served after %v", path, time.Since(began))
	}
	for range 4 {
		n := tr.Nodes[4]
		tr.Remove(n)
		n.Close()
		tr.WaitGone(n.ID())
	}
	tr.WaitSettled()
}

// get asks a server over a connection of its own, again if that was crowded out.
func get(url string) (err error) {
	for range 10 {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
		var r *http.Response
		if r, err = c.Get(url); err == nil {
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("status %s", r.Status)
		}
	}
	return err
}

// filesOpen counts the descriptors of this process, where the system lists them.
func filesOpen() int {
	files, _ := os.ReadDir("/proc/self/fd")
	return len(files)
}
