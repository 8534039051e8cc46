package deploy

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/x/ringdht/internal/leaks"
)

// programs is the folder with the programs, built as the image builds them.
var programs string

const testVersion = "v0.0.0-test"

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "ringdht-deploy-"); err != nil {
		panic(err)
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X github.com/x/ringdht/deploy/internal/service.Version="+testVersion,
		"-o", programs, "./registry", "./node")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	status := 1
	if out, err := build.CombinedOutput(); err != nil {
		println(string(out))
	} else {
		status = leaks.Run(m)
	}
	os.RemoveAll(programs)
	os.Exit(status)
}

// process is a program that runs, and its log.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	end  chan struct{}

	mu    sync.Mutex
	lines []map[string]any
	text  strings.Builder
	news  chan struct{} // closed at the next line
}

// start starts a program with settings as variables. At the end of the test it is ended.
func start(t testing.TB, program string, settings ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(filepath.Join(programs, program)), settings...)
}

func startCommand(t testing.TB, cmd *exec.Cmd, settings ...string) *process {
	t.Helper()
	p := &process{t: t, name: strings.Join(cmd.Args, " "), cmd: cmd, end: make(chan struct{}), news: make(chan struct{})}
	cmd.Env = append([]string{"RINGDHT_LOG_JSON=true"}, settings...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.read(lines.Bytes())
		}
		cmd.Wait()
		close(p.end)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.end
	})
	return p
}

func (p *process) read(line []byte) {
	var record map[string]any
	_ = json.Unmarshal(line, &record) // a panic is no record, but text
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, record)
	p.text.Write(append(line, '\n'))
	close(p.news)
	p.news = make(chan struct{})
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// record waits for a log record and returns it.
func (p *process) record(msg string) map[string]any {
	p.t.Helper()
	for timeout := time.After(time.Minute); ; {
		p.mu.Lock()
		for _, r := range p.lines {
			if r["msg"] == msg {
				p.mu.Unlock()
				return r
			}
		}
		news := p.news
		p.mu.Unlock()
		select {
		case <-news:
		case <-p.end:
			p.t.Fatalf("%s ended without %q:\n%s", p.name, msg, p.log())
		case <-timeout:
			p.t.Fatalf("%s: no %q:\n%s", p.name, msg, p.log())
		}
	}
}

// terminate sends SIGTERM and returns the status.
func (p *process) terminate() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	return p.status()
}

// status waits for the end.
func (p *process) status() int {
	p.t.Helper()
	select {
	case <-p.end:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(time.Minute):
		p.t.Fatalf("%s does not end:\n%s", p.name, p.log())
		return 0
	}
}

// get asks for a path, and returns the status and the body. Status 0 is no answer.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// await asks until the status is this one and the body has this part.
func await(t testing.TB, url string, status int, part string) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		got, body := get(t, url)
		if got == status && strings.Contains(body, part) {
			return body
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d %q, want %d %q", url, got, about(body, part), status, part)
		}
	}
}

// about returns the lines of a long text that begin as a part that is missing there.
func about(text, part string) string {
	if len(text) < 1000 {
		return text
	}
	name, _, _ := strings.Cut(part, "{")
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, name) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
