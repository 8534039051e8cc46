//go:build linux

package deploy

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// stage is a stage of the Dockerfile whose image runs.
type stage struct {
	copies             [][]string // the flags and arguments of COPY
	user               int
	env                []string
	entry, healthcheck []string
}

// readStages reads the stages that begin with scratch.
func readStages(t *testing.T) map[string]*stage {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages, at := make(map[string]*stage), (*stage)(nil)
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if words[0] == "FROM" {
			at = nil
			if words[1] == "scratch" {
				at = &stage{}
				stages[words[3]] = at
			}
		}
		if at == nil {
			continue
		}
		switch list := line[strings.Index(line, "[")+1:]; words[0] {
		case "COPY":
			at.copies = append(at.copies, words[1:])
		case "USER":
			uid, gid, _ := strings.Cut(words[1], ":")
			if at.user, err = strconv.Atoi(uid); err != nil || uid != gid {
				t.Fatalf("USER %s is not uid:gid", words[1])
			}
		case "ENV":
			at.env = append(at.env, words[1:]...)
		case "ENTRYPOINT":
			err = json.Unmarshal([]byte("["+list), &at.entry)
		case "HEALTHCHECK":
			err = json.Unmarshal([]byte("["+list), &at.healthcheck)
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return stages
}

// lay lays the files of an image into an empty folder.
func (s *stage) lay(t *testing.T) (root string) {
	t.Helper()
	root, err := os.MkdirTemp("", "ringdht-image-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.copies {
		from, to := c[len(c)-2], filepath.Join(root, c[len(c)-1])
		if from == "/state" {
			err = os.Mkdir(to, 0o755)
		} else {
			var program []byte
			if program, err = os.ReadFile(filepath.Join(programs, filepath.Base(from))); err == nil {
				err = os.WriteFile(to, program, 0o755)
			}
		}
		if err == nil && slices.Contains(c, "--chown=65532:65532") {
			err = os.Chown(to, 65532, 65532)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// command returns a command in the image.
func (s *stage) command(root string, args []string, settings ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(slices.Clone(s.env), settings...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: root, Credential: &syscall.Credential{Uid: uint32(s.user), Gid: uint32(s.user)},
	}
	return cmd
}

// The images work: each program runs with the files of its stage only, as its user, with its
// variables, and its health check succeeds. The registry can write its state. This test does the
// steps of the Dockerfile by hand; the engine's own part is not tested.
func TestImage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it needs root, to change the root folder and the user")
	}
	stages := readStages(t)
	reg, node := stages["registry"], stages["node"]
	if reg == nil || node == nil || reg.user == 0 || node.user == 0 {
		t.Fatalf("%v: expected stages registry and node with a user that is not root", stages)
	}
	local := []string{"RINGDHT_HTTP=127.0.0.1:0", "RINGDHT_LOG_JSON=true"} // the ports of the image may be taken here
	root := reg.lay(t)
	registry := startCommand(t, reg.command(root, reg.entry), slices.Concat(reg.env, local, []string{"RINGDHT_ADDR=127.0.0.1:0"})...)
	at := registry.record("registry listens")
	n := startCommand(t, node.command(node.lay(t), node.entry), slices.Concat(node.env, local, []string{"RINGDHT_LISTEN=127.0.0.1:0", "RINGDHT_REGISTRY=" + at["addr"].(string)})...)
	joins := n.record("node joins")
	n.record("node has joined")
	await(t, "http://"+at["http"].(string)+"/readyz", http.StatusOK, "ready")
	await(t, "http://"+joins["http"].(string)+"/readyz", http.StatusOK, "ready")
	for s, web := range map[*stage]any{reg: at["http"], node: joins["http"]} {
		check := s.command(s.lay(t), s.healthcheck, "RINGDHT_HTTP="+web.(string))
		if out, err := check.CombinedOutput(); err != nil || string(out) != "ok\n" {
			t.Errorf("%q: %v\n%s", s.healthcheck, err, out)
		}
		if out, err := s.command(s.lay(t), append(s.healthcheck[:1:1], "-version")).CombinedOutput(); err != nil || !strings.Contains(string(out), testVersion) {
			t.Errorf("%v\n%s", err, out)
		}
	}
	for _, p := range []*process{n, registry} {
		if status := p.terminate(); status != 0 {
			t.Errorf("%s: status %d\n%s", p.name, status, p.log())
		}
	}
	if files, err := os.ReadDir(filepath.Join(root, "state")); err != nil || len(files) == 0 {
		t.Errorf("the registry has written no state: %v", err)
	}
}
