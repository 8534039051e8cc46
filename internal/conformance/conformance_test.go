package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht/internal/leaks"
)

func TestMain(m *testing.M) {
	lease = 10 * time.Second // a busy machine may let a process wait for seconds
	leaks.Main(m)
}

// The messenger keeps every rule, with either codec, and in a secure ring. So does a node in another
// language, which was written from the document alone: in Python in an open ring, where it need not
// know bundles, and in JavaScript.
func TestNodes(t *testing.T) {
	messenger := program(t, "messenger")
	was := patience
	patience = time.Minute // of a machine that does much else
	t.Cleanup(func() { patience = was })
	for name, c := range map[string]config{
		"messenger":         {command: []string{messenger, "{registry}"}},
		"messenger/json":    {command: []string{messenger, "-codec", "json", "{registry}"}},
		"messenger/secure":  {command: []string{messenger, "{registry}"}, secure: true},
		"python":            {command: []string{"python3", "testdata/node.py", "{registry}"}},
		"python/bundles":    {command: []string{"python3", "testdata/node.py", "{registry}", "--bundles"}},
		"javascript":        {command: []string{"node", javascript, "{registry}"}},
		"javascript/secure": {command: []string{"node", javascript, "{registry}"}, secure: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // nodes wait more than they work
			if name == "messenger/json" && testing.Short() {
				t.Skip("the codec makes little difference")
			}
			switch c.command[0] {
			case "python3":
				c.command[0] = python(t)
			case "node":
				c.command[0] = nodejs(t)
			}
			var out bytes.Buffer
			c.ring, c.log, c.watch = "ring", io.Discard, watchTime
			ok, skipped := c.run(&out), 0
			for line := range strings.Lines(out.String()) {
				confirms := strings.HasPrefix(name, "messenger") // the others take part as of an earlier version
				if strings.HasPrefix(line, "skip ") && (name != "python" || !strings.HasSuffix(line, "bundles\n")) && (confirms || !strings.HasSuffix(line, "lists\n")) {
					skipped++
				}
			}
			if !ok || skipped > 0 {
				t.Errorf("%s", out.String())
			}
		})
	}
}

// program builds one of the examples.
func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", path, "../../examples/"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// python returns the command that runs Python 3.
func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("this machine has no python3, so the node in Python was not checked")
	}
	return path
}

// faults are the faults that node.py can have, and the rule whose check must find each.
var faults = map[string]string{
	"early": "R2", "keeps-cut": "R13", "accuses": "R16", "any-order": "R32", "any-terms": "R33", "same-life": "R45", "no-ask": "R46", "any-ring": "R47",
	"own-way": "R67", "goes-back": "R85",
	"any-type": "R10", "ping-body": "R21", "no-pong": "R26", "any-version": "R4", "no-token": "R5", "any-identity": "R7", "lives-on": "R44",
	"no-beat": "R42", "rare-beat": "R41", "any-table": "R34", "keeps-gone": "R54", "no-linked": "R51", "no-trouble": "R52", "knows-all": "R55",
	"no-hops": "R60", "clears-flags": "R60", "twice": "R62", "overshoots": "R63", "no-limit": "R64", "answers-answers": "R65",
	"new-first": "R70", "fixed-first": "R71", "no-order": "R72", "one-ack": "R73", "no-reset": "R74", "copies": "R75",
	"no-repeat": "R76", "no-window": "R77", "any-round": "R78", "no-resend": "R78", "any-opened": "R79", "close-at-once": "R80",
	"no-confirm": "R81", "any-life": "R83", "any-reset": "R84", "hasty": "R95",
	"any-port": "R92", "no-port": "R92", "no-refuse": "R91", "always-bundles": "R86", "any-bundle": "R87", "takes-part": "R87", "plain-resend": "R88", "counts-part": "R89",
	"strict-flags": "R14", "large-exception": "R77", "grants-once": "R87", "sync-within": "R88",
}

// Each fault is found, by the check of the rule that it breaks.
func TestFaultsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for nodes that do nothing")
	}
	command := python(t)
	source, err := os.ReadFile("testdata/node.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`BROKEN [!=]= "([^"]+)"`).FindAllSubmatch(source, -1) {
		if faults[string(m[1])] == "" {
			t.Errorf("node.py has the fault %q, for which no rule stands here", m[1])
		}
	}
	was := patience
	patience = 4 * time.Second
	defer func() { patience = was }()
	const watch = 2 * time.Second // a busy machine may delay what must not come
	// A check of a fault waits for what never comes, so many can wait at the same time.
	var wg sync.WaitGroup
	slots := make(chan struct{}, 24)
	for fault, rule := range faults {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var out bytes.Buffer
			c := config{command: []string{command, "testdata/node.py", "{registry}", "--bundles", "--break", fault}, ring: "ring", only: fmt.Sprintf("%-4s", rule), log: io.Discard, watch: watch}
			if c.run(&out) {
				t.Errorf("the fault %s is not found:\n%s", fault, out.String())
			}
		})
	}
	wg.Wait()
}

// Every rule that is checked stands in the document, and MUST is checked where MUST stands.
func TestRulesStandInTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range append(checks(), secureChecks...) {
		if !regexp.MustCompile(`(?m)^(\| |- \*\*)` + k.rule + `\b`).Match(text) {
			t.Errorf("PROTOCOL.md has no rule %s: %s", k.rule, k.what)
		}
	}
}
