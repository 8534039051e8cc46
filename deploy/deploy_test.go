// Package deploy has only tests: of the programs of this module as processes, and of the files
// that deploy them.
package deploy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// ring is a registry and nodes, each a process.
type ring struct {
	registry     *process
	addr, web    string
	nodes        []*process
	ids, nodeWeb []string
}

func startRing(t *testing.T, nodes int, settings ...string) *ring {
	t.Helper()
	r := &ring{}
	// With a folder for its state a new registry takes nodes at once.
	r.startRegistry(t, "127.0.0.1:0", append([]string{"RINGDHT_STATE=" + t.TempDir()}, settings...)...)
	for range nodes {
		r.join(t)
	}
	return r
}

func (r *ring) startRegistry(t *testing.T, addr string, settings ...string) {
	t.Helper()
	r.registry = start(t, "registry", append(settings, "RINGDHT_ADDR="+addr, "RINGDHT_HTTP=127.0.0.1:0")...)
	record := r.registry.record("registry listens")
	r.addr, r.web = record["addr"].(string), "http://"+record["http"].(string)
}

func (r *ring) join(t *testing.T) {
	t.Helper()
	n := start(t, "node", "RINGDHT_REGISTRY="+r.addr, "RINGDHT_HTTP=127.0.0.1:0", "RINGDHT_LISTEN=127.0.0.1:0")
	r.nodes, r.nodeWeb = append(r.nodes, n), append(r.nodeWeb, "http://"+n.record("node joins")["http"].(string))
	r.ids = append(r.ids, idOf(n))
}

// idOf waits until a node has joined, and returns its ID.
func idOf(n *process) string {
	n.t.Helper()
	return fmt.Sprintf("%.0f", n.record("node has joined")["id"])
}

// The ring sets itself up. Probes follow each process through a restart of the registry and
// the leaving of a node, and all end in good order.
func TestServices(t *testing.T) {
	state := "RINGDHT_STATE=" + filepath.Join(t.TempDir(), "state")
	r := startRing(t, 3, state, "RINGDHT_LEASE=3s")
	await(t, r.web+"/readyz", http.StatusOK, "ready")
	for _, web := range r.nodeWeb {
		await(t, web+"/readyz", http.StatusOK, "ready")
	}

	old := r.registry
	if status := old.terminate(); status != 0 {
		t.Errorf("registry: status %d\n%s", status, old.log())
	}
	for i, web := range r.nodeWeb {
		r.nodes[i].record("lost the connection to the registry, messages still flow")
		await(t, web+"/readyz", http.StatusOK, "ready")
	}
	r.startRegistry(t, r.addr, state, "RINGDHT_LEASE=3s")
	await(t, r.web+"/readyz", http.StatusOK, "ready")
	await(t, r.web+"/metrics", http.StatusOK, `ringdht_members{ring="ring",state="active"} 3`)
	r.join(t)
	await(t, r.nodeWeb[3]+"/readyz", http.StatusOK, "ready")

	if status := r.nodes[0].terminate(); status != 0 {
		t.Errorf("node: status %d\n%s", status, r.nodes[0].log())
	}
	r.nodes[0].record("node has left")
	await(t, r.web+"/metrics", http.StatusOK, `ringdht_members{ring="ring",state="active"} 3`)

	// Without a registry a node leaves, too: it waits one lease.
	if status := r.registry.terminate(); status != 0 {
		t.Errorf("registry: status %d\n%s", status, r.registry.log())
	}
	if status := r.nodes[1].terminate(); status != 0 {
		t.Errorf("node: status %d\n%s", status, r.nodes[1].log())
	}
	r.nodes[1].record("node has left")
	for _, p := range append(r.nodes, old, r.registry) {
		if strings.Contains(p.log(), `"level":"ERROR"`) {
			t.Errorf("%s\n%s", p.name, p.log())
		}
	}
}

// Nodes and their registry are restarted one after the other, each after the one before is ready.
// All others stay ready throughout, no node loses its life, and nothing logs an error.
func TestRollingRestart(t *testing.T) {
	state := "RINGDHT_STATE=" + filepath.Join(t.TempDir(), "state")
	r := startRing(t, 3, state, "RINGDHT_LEASE=3s")
	all := append([]*process{r.registry}, r.nodes...)
	for _, web := range r.nodeWeb {
		await(t, web+"/readyz", http.StatusOK, "ready")
	}
	for step := range 4 {
		end := watchReady(t, r.nodeWeb, step)
		switch step {
		case 3:
			if status := r.registry.terminate(); status != 0 {
				t.Errorf("registry: status %d\n%s", status, r.registry.log())
			}
			r.startRegistry(t, r.addr, state, "RINGDHT_LEASE=3s")
			all = append(all, r.registry)
		default:
			if status := r.nodes[step].terminate(); status != 0 {
				t.Errorf("node: status %d\n%s", status, r.nodes[step].log())
			}
			r.join(t)
			n := len(r.nodes) - 1
			r.nodes[step], r.nodeWeb[step] = r.nodes[n], r.nodeWeb[n]
			r.nodes, r.nodeWeb = r.nodes[:n], r.nodeWeb[:n]
			all = append(all, r.nodes[step])
			await(t, r.nodeWeb[step]+"/readyz", http.StatusOK, "ready")
		}
		await(t, r.web+"/readyz", http.StatusOK, "ready")
		await(t, r.web+"/metrics", http.StatusOK, `ringdht_members{ring="ring",state="active"} 3`)
		end()
	}
	for _, p := range all {
		for _, bad := range []string{`"level":"ERROR"`, `"msg":"dead"`, "declared dead"} {
			if strings.Contains(p.log(), bad) {
				t.Errorf("%s: %s\n%s", p.name, bad, p.log())
			}
		}
	}
}

// watchReady asks all nodes but one whether they are ready, again and again until end is called.
func watchReady(t *testing.T, web []string, but int) (end func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, url := range web {
		if i == but {
			continue
		}
		wg.Go(func() {
			for asked := 0; ; asked++ {
				select {
				case <-stop:
					if asked == 0 {
						t.Error("not asked at all")
					}
					return
				default:
				}
				if status, body := get(t, url+"/readyz"); status != http.StatusOK {
					t.Errorf("step %d: node %d: %d %s", but, i, status, body)
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return func() {
		close(stop)
		wg.Wait()
	}
}

// A node that starts before its registry waits, healthy and not ready, and joins. One that is ended
// while it waits has no error.
func TestNodeWaitsForRegistry(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	early, ended := start(t, "node", "RINGDHT_REGISTRY="+addr, "RINGDHT_HTTP=127.0.0.1:0"), start(t, "node", "RINGDHT_REGISTRY="+addr, "RINGDHT_HTTP=127.0.0.1:0")
	web := "http://" + early.record("node joins")["http"].(string)
	await(t, web+"/healthz", http.StatusOK, "ok")
	await(t, web+"/readyz", http.StatusServiceUnavailable, "starting")
	ended.record("node joins")
	if status := ended.terminate(); status != 0 {
		t.Errorf("status %d\n%s", status, ended.log())
	}
	r := &ring{}
	r.startRegistry(t, addr)
	early.record("node has joined")
}

var familyName = regexp.MustCompile(`(?m)^# TYPE ringdht_(\w+) `)

// /metrics has the metrics of the README of contrib/prometheus, for the ring, each member if asked
// for, and the node. What its alerts use is there from the start.
func TestMetrics(t *testing.T) {
	text, err := os.ReadFile("../contrib/prometheus/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- metrics -->")
	table, _, _ = strings.Cut(table, "<!-- /metrics -->")
	_, alerts, _ := strings.Cut(string(text), "## Worth an alert")
	listed := make(map[string]bool) // by prefix and name
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([a-z, ]+) \\|").FindAllStringSubmatch(table, -1) {
		for of := range strings.SplitSeq(row[2], ", ") {
			listed[map[string]string{"ring": "", "member": "member_", "node": "node_"}[of]+row[1]] = true
		}
	}
	if len(listed) < 100 {
		t.Fatalf("%d metrics in the README: this test does not find them", len(listed))
	}

	r := startRing(t, 2, "RINGDHT_MEMBERS=true")
	have := make(map[string]bool)
	for _, web := range []string{r.web, r.nodeWeb[0]} {
		body := await(t, web+"/metrics", http.StatusOK, "go_goroutines")
		for _, m := range familyName.FindAllStringSubmatch(body, -1) {
			have[m[1]] = true
			if !listed[m[1]] {
				t.Errorf("%s: ringdht_%s is not listed", web, m[1])
			}
		}
	}
	for _, m := range regexp.MustCompile(`ringdht_(\w+)`).FindAllStringSubmatch(alerts, -1) {
		there := have[m[1]] || strings.HasPrefix(m[1], "keys_") && listed[m[1]] // no keys in this ring
		if !strings.HasSuffix(m[1], "_") && !there {
			t.Errorf("an alert uses ringdht_%s, which is not there", m[1])
		}
	}
	for _, name := range []string{"members", "member_state", "node_registry_connected"} {
		if !have[name] {
			t.Errorf("no ringdht_%s", name)
		}
	}
}

// A program that cannot start says why, and which setting is wrong. -version and -h end it, and a
// probe asks the program that runs.
func TestProgramEnds(t *testing.T) {
	r := startRing(t, 1)
	web := strings.TrimPrefix(r.nodeWeb[0], "http://")
	for _, c := range []struct {
		program, args, env string
		status             int
		output             string
	}{
		{"registry", "-version", "RINGDHT_BITS=x", 0, "registry " + testVersion},
		{"node", "-version", "RINGDHT_VERSION=x", 0, "node " + testVersion},
		{"node", "-h", "", 0, "RINGDHT_MAX_PAYLOAD"},
		{"node", "", "", 2, "-registry (RINGDHT_REGISTRY): expected"},
		{"node", "-registry " + r.addr + " -http localhost:0 -ring other", "", 1, "ring"},
		{"registry", "", "RINGDHT_LEASE=soon", 2, `RINGDHT_LEASE: invalid value "soon"`},
		{"registry", "", "RINGDHT_PLAN=worst", 2, "-plan (RINGDHT_PLAN)"},
		{"registry", "", "RINGDHT_BITS=99", 2, "-bits (RINGDHT_BITS): an ID has 1 to 64 bits"},
		{"registry", "", "RINGDHT_ENTRIES=-1", 2, "-entries (RINGDHT_ENTRIES): "},
		{"registry", "", "RINGDHT_STATE=/dev/null/x", 2, "-state (RINGDHT_STATE): "},
		{"registry", "", "RINGDHT_VALIDITY=1h", 2, "-validity (RINGDHT_VALIDITY) needs -secure"},
		{"registry", "-validity 1s -secure -join-file x", "", 2, "-validity (RINGDHT_VALIDITY): "},
		{"registry", "", "RINGDHT_SECURE=true", 2, "-secure needs -join-file (RINGDHT_JOIN_FILE) or -state (RINGDHT_STATE)"},
		{"node", "", "RINGDHT_REGISTRY=rdht1:localhost:1/secret", 2, "a join line belongs in -join (RINGDHT_JOIN)"},
		{"node", "", "RINGDHT_JOIN=@/nothing", 2, "-join (RINGDHT_JOIN): "},
		{"node", "-http localhost:0", "RINGDHT_JOIN=rdht1:localhost:1/short", 1, "cut short or changed"},
		{"node", "-registry " + r.addr + " -http localhost:0", "RINGDHT_ADVERTISE=x", 1, "-advertise (RINGDHT_ADVERTISE): "},
		{"registry", "-codec xml", "", 2, "expected msgpack or json"},
		{"registry", "-http 8080", "", 2, "-http (RINGDHT_HTTP)"},
		{"registry", "12345", "", 2, "expected flags only"},
		{"registry", "-http localhost:0 -addr " + r.addr, "", 1, "-addr (RINGDHT_ADDR): "},
		{"node", "-registry " + r.addr + " -http " + web, "", 1, "-http (RINGDHT_HTTP): "},
		{"node", "-probe /healthz", "RINGDHT_HTTP=" + web, 0, "ok"},
		{"node", "-probe /nothing", "RINGDHT_HTTP=" + web, 1, "404"},
		{"node", "-probe /healthz", "RINGDHT_HTTP=localhost:1", 1, "refused"},
		{"node", "-probe /healthz -http=", "", 2, "-probe needs"},
	} {
		cmd := exec.Command(filepath.Join(programs, c.program), strings.Fields(c.args)...)
		cmd.Env = []string{c.env}
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != c.status || !strings.Contains(string(out), c.output) {
			t.Errorf("%s %s %s: status %d\n%s", c.env, c.program, c.args, got, out)
		}
	}
}

// The page is there, and is not opened under names of other sites.
func TestPage(t *testing.T) {
	r := startRing(t, 0, "RINGDHT_HOSTS=ring.example,other.example")
	await(t, r.web+"/", http.StatusOK, "<html")
	for host, want := range map[string]int{"ring.example": http.StatusOK, "other.example:8080": http.StatusOK, "evil.example": http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.web+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", host, resp.Status)
		}
	}
	events, err := http.Get(r.web + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	first := ""
	for lines := bufio.NewReader(events.Body); err == nil && !strings.HasPrefix(first, "data: "); {
		first, err = lines.ReadString('\n')
	}
	if want := fmt.Sprintf(`"join":"%s -registry %s"`, filepath.Join(programs, "node"), r.addr); !strings.Contains(first, want) {
		t.Errorf("the page of the empty ring does not show %s: %s", want, first)
	}
	resp, err := http.Post(r.web+"/setup", "application/json", strings.NewReader(`{"k":1}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode < 400 {
		t.Errorf("without -control the page sets up: %s", resp.Status)
	}
}
