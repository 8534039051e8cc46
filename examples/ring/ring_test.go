package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/x/ringdht/examples/internal/drive"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/status"
)

func TestRing(t *testing.T) {
	p := drive.Start(t, run, "-nodes", "5", "-entries", "2", "-messages", "200", "-payload", "100")
	p.Expect(`^epoch 1: 5 nodes with 2 entries, all 20 routes arrive, `)
	p.Expect(`^node +sent +received +relayed +sent +received$`)
	p.Expect(`^Sum +1000 +1000 +\d+ `)
	p.Expect(`^Verdict: exact$`)
	if status := p.Status(); status != 0 || p.Stderr() != "" {
		t.Errorf("exit status %d, stderr %q", status, p.Stderr())
	}
}

func TestJSONCodecAndCut(t *testing.T) {
	p := drive.Start(t, run, "-nodes", "3", "-entries", "7", "-messages", "20", "-codec", "json")
	p.Expect(`^The tables have 2 entries instead of 7: a ring of 3 nodes has no use for more\.$`)
	p.Expect(`^Verdict: exact$`)
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestJSONResults(t *testing.T) {
	p := drive.Start(t, run, "-nodes", "3", "-messages", "20", "-json")
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	lines := strings.Split(p.Stdout(), "\n")
	var audit status.Audit
	var s report.SummaryDocument
	if len(lines) != 3 || json.Unmarshal([]byte(lines[0]), &audit) != nil || json.Unmarshal([]byte(lines[1]), &s) != nil ||
		audit.Nodes != 3 || !audit.OK() || !s.Exact || s.Sum.Sent != 60 {
		t.Errorf("stdout is %q", lines)
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	p := drive.Start(t, run, "-nodes", "2", "-messages", "2000000000")
	p.Expect(`^epoch 1: `)
	p.Interrupt()
	if status := p.Status(); status != 1 || p.Stderr() != "ring: interrupted\n" {
		t.Errorf("exit status %d, stderr %q", status, p.Stderr())
	}
}

// The page shows the ring during the run and after it, until it is interrupted.
func TestPage(t *testing.T) {
	p := drive.Start(t, run, "-nodes", "3", "-messages", "10", "-http", "127.0.0.1:0", "-control")
	url := p.Expect(`^Page at (http://127\.0\.0\.1:\d+/)$`)[1]
	p.Expect(`^Verdict: exact$`)
	p.Expect(`^The ring and its page stay up `)
	resp, err := http.Get(url + "snapshot.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var s struct{ Members, Runs []any }
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || len(s.Members) != 3 || len(s.Runs) != 1 {
		t.Errorf("%v %+v", err, s)
	}
	resp, err = http.Post(url+"run", "application/json", strings.NewReader(`{"messages":10}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a run by the page: %s", resp.Status)
	}
	p.Interrupt()
	if status := p.Status(); status != 0 || p.Stderr() != "" {
		t.Errorf("exit status %d, stderr %q", status, p.Stderr())
	}
}

func TestBadFlags(t *testing.T) {
	for args, stderr := range map[string]string{
		"-nodes 1":              `^ring: -nodes must be from 2 to 65536, not 1 `,
		"-nodes 70000":          `^ring: -nodes must be from 2 to 65536, not 70000 `,
		"-nodes many":           `^ring: invalid value "many" for flag -nodes`,
		"-entries -1":           `^ring: -entries must be at least 0, not -1 `,
		"-messages 0":           `^ring: -messages must be at least 1, not 0 `,
		"-payload 3":            `^ring: -payload must be at least 4, not 3 `,
		"-codec xml":            `^ring: invalid value "xml" for flag -codec: expected msgpack or json `,
		"-what":                 `^ring: flag provided but not defined: -what `,
		"12345":                 `^ring: expected flags only, got "12345" `,
		"-nodes 2 -payload 1e9": `^ring: invalid value "1e9" for flag -payload`,
	} {
		p := drive.Start(t, run, strings.Fields(args)...)
		if status := p.Status(); status != 2 {
			t.Errorf("%s: exit status %d", args, status)
		}
		if e := p.Stderr(); !regexp.MustCompile(stderr).MatchString(e) || strings.Count(e, "\n") != 1 {
			t.Errorf("%s: stderr is %q", args, e)
		}
	}
	p := drive.Start(t, run, "-nodes", "2", "-payload", "100000000") // the library states the maximum
	p.ExpectError(`^ring: .* of 4 to \d+ bytes$`)
	if status := p.Status(); status != 1 {
		t.Errorf("exit status %d", status)
	}
}

func TestCSV(t *testing.T) {
	p := drive.Start(t, run, "-nodes", "3", "-messages", "20", "-csv")
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if lines := strings.Split(p.Stdout(), "\n"); len(lines) != 1+3+1+1 || !strings.HasPrefix(lines[4], "1,Sum,,,60,60,") {
		t.Errorf("stdout is %q", lines)
	}
	p.ExpectError(`^epoch 1: 3 nodes`)
}
