package deploy

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// secureRing is a registry of a secure ring, and what it has written for nodes and operators.
type secureRing struct {
	*ring
	state string
}

// startSecure starts a registry and nodes, which get the join line as a file.
func startSecure(t *testing.T, nodes int) *secureRing {
	t.Helper()
	r := &secureRing{new(ring), t.TempDir()}
	r.startRegistry(t, "127.0.0.1:0", "RINGDHT_STATE="+r.state, "RINGDHT_SECURE=true", "RINGDHT_CONTROL=true")
	for range nodes {
		n := r.node(t)
		r.nodes, r.ids = append(r.nodes, n), append(r.ids, idOf(n))
	}
	return r
}

func (r *secureRing) node(t *testing.T) *process {
	return start(t, "node", "RINGDHT_JOIN=@"+filepath.Join(r.state, "join"), "RINGDHT_HTTP=127.0.0.1:0", "RINGDHT_LISTEN=127.0.0.1:0")
}

// kept returns the line in a file of the state, which only this user may read.
func (r *secureRing) kept(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(r.state, name)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has the mode %v", name, info.Mode())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// ask sends a request to the page, with the key if there is one.
func (r *secureRing) ask(t *testing.T, method, path, key, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.web+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// Nodes join by the file that the registry writes, and come back after its restart. Its page asks
// for the key. A script makes tokens and expels with it. A node that is expelled ends, with the
// reason, and the file has the line that is good then.
func TestSecureRing(t *testing.T) {
	r := startSecure(t, 3)
	line, key := r.kept(t, "join"), r.kept(t, "page-key")
	for _, p := range append(r.nodes, r.registry) {
		if _, secret, _ := strings.Cut(line, "/"); strings.Contains(p.log(), secret) || strings.Contains(p.log(), key) {
			t.Errorf("a secret is in the log of %s:\n%s", p.name, p.log())
		}
	}
	if code, text := r.ask(t, "GET", "/snapshot.json", "", ""); code != http.StatusUnauthorized || strings.Contains(text, "members") {
		t.Errorf("without the key: %d %s", code, text)
	}
	if code, text := r.ask(t, "GET", "/snapshot.json", key, ""); code != http.StatusOK || !strings.Contains(text, r.ids[0]) {
		t.Errorf("with the key: %d %s", code, text)
	}

	if status := r.registry.terminate(); status != 0 {
		t.Errorf("the registry ended with status %d", status)
	}
	r.startRegistry(t, r.addr, "RINGDHT_STATE="+r.state, "RINGDHT_SECURE=true", "RINGDHT_CONTROL=true")
	await(t, r.web+"/readyz", http.StatusOK, "")
	await(t, r.web+"/metrics", http.StatusOK, `ringdht_members{ring="ring",state="active"} 3`)
	if r.kept(t, "join") != line || r.kept(t, "page-key") != key {
		t.Error("the restart has changed the join line or the key of the page")
	}

	if code, text := r.ask(t, "POST", "/expel", key, `{"id": `+r.ids[0]+`}`); code != http.StatusOK {
		t.Fatalf("expelling: %d %s", code, text)
	}
	if status := r.nodes[0].status(); status != 1 || !strings.Contains(r.nodes[0].log(), "\nnode: node "+r.ids[0]+": this node was expelled from the ring, for good") {
		t.Errorf("the expelled node ended with status %d:\n%s", status, r.nodes[0].log())
	}
	if r.kept(t, "join") == line {
		t.Error("the file has the line of a token that has ended")
	}
	late := start(t, "node", "RINGDHT_JOIN="+line, "RINGDHT_HTTP=127.0.0.1:0")
	if status := late.status(); status != 1 || !strings.Contains(late.log(), "join with a new join line") {
		t.Errorf("the old line: status %d\n%s", status, late.log())
	}
	idOf(r.node(t))
	if code, text := r.ask(t, "POST", "/token", key, `{"once": true, "for": "10m"}`); code != http.StatusOK || !strings.Contains(text, `"rdht1:`) {
		t.Errorf("a token: %d %s", code, text)
	}
}

// Where other machines reach the page it has TLS, with a certificate that stays, and the probe of an
// image gets through.
func TestSecurePage(t *testing.T) {
	state := t.TempDir()
	var prints []any
	line := filepath.Join(t.TempDir(), "line") // in a folder that nodes may read
	for range 2 {
		p := start(t, "registry", "RINGDHT_JOIN_FILE="+line, "RINGDHT_STATE="+state, "RINGDHT_SECURE=true", "RINGDHT_ADDR=127.0.0.1:0", "RINGDHT_HTTP=:0")
		at := p.record("registry listens")["http"].(string)
		prints = append(prints, p.record("the page has TLS with a self-signed certificate")["sha256"])
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		resp, err := client.Get("https://localhost" + at[strings.LastIndex(at, ":"):] + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		probe := exec.Command(filepath.Join(programs, "registry"), "-probe", "/healthz")
		probe.Env = []string{"RINGDHT_HTTP=" + at}
		if out, err := probe.CombinedOutput(); err != nil {
			t.Errorf("the probe: %v %s", err, out)
		}
		if status := p.terminate(); status != 0 {
			t.Errorf("status %d:\n%s", status, p.log())
		}
	}
	if files, err := os.ReadDir(filepath.Dir(line)); err != nil || len(files) != 1 {
		t.Errorf("beside the join line there is more: %v %v", files, err)
	}
	if prints[0] == nil || prints[0] != prints[1] {
		t.Errorf("the certificates %v", prints)
	}
}
