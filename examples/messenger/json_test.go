package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/drive"
	"github.com/x/ringdht/examples/internal/report"
)

// document is a line of JSON on stdout, of any kind.
type document map[string]any

// next reads lines up to one with the given values. Events may come between results.
func next(t *testing.T, p *drive.Program, key, value string) document {
	t.Helper()
	for {
		line := p.Expect(`^.*\n`)[0]
		var d document
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if v, ok := d[key]; ok && (value == "" || fmt.Sprint(v) == value) {
			return d
		}
	}
}

// With -json each event and each result is a line of JSON on stdout.
func TestJSON(t *testing.T) {
	t.Parallel()
	r, addr := newRegistry(t)
	p := drive.Start(t, run, "-json", addr)
	if d := next(t, p, "event", "registered"); d["members"] != 1.0 || d["node"].(map[string]any)["addr"] == "" {
		t.Errorf("registered: %v", d)
	}
	q, id := start(t, 2, addr)
	me := r.Members()[0].ID
	if me == id {
		me = r.Members()[1].ID
	}
	p.Type("table")
	if d := next(t, p, "error", ""); !strings.Contains(d["error"].(string), "setup-overlay") {
		t.Errorf("no table: %v", d)
	}
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	p.Type(fmt.Sprintf("send %d hello -json", id))
	next(t, p, "sent_to", fmt.Sprint(float64(id)))
	q.Expect(fmt.Sprintf(`^Message from %d \(1 hop\): hello -json$`, me)) // everything after the node is text
	q.Type(fmt.Sprintf("send -json %d good\tbye ", me))
	q.Expect(fmt.Sprintf(`^{"sent_to":%d,"bytes":8}$`, me))
	if d := next(t, p, "event", "message"); d["text"] != "good\tbye" || d["from"] != float64(id) || d["hops"] != 1.0 {
		t.Errorf("message: %v", d)
	}
	node := ringdht.NewNode()
	defer node.Close()
	texts := node.Service("")
	if err := node.Join(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	if err := texts.Send(t.Context(), me, []byte("\xff\x00")); err != nil {
		t.Fatal(err)
	}
	if d := next(t, p, "event", "message"); d["bytes"] != "/wA=" || d["text"] != nil {
		t.Errorf("a message that is no text: %v", d)
	}
	p.Type("print")
	if d := next(t, p, "counters", ""); d["registry"] != addr || d["registry_lost"] != false || d["id"] != float64(me) || d["runs"].(map[string]any)["latest"].(map[string]any)["sum_sent"] != 0.0 {
		t.Errorf("print: %v", d)
	}
	p.Type(fmt.Sprintf("trace %d", id))
	if d := next(t, p, "hops", ""); len(d["hops"].([]any)) != 1 {
		t.Errorf("trace: %v", d)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; { // other nodes' tables may follow a join later
		p.Type("table")
		d := next(t, p, "entries", "")
		if len(d["entries"].([]any)) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("table: %v", d)
		}
	}
	r.Close()
	next(t, p, "event", "registry lost")
	p.Type("exit")
	if d := next(t, p, "event", "left"); d["node"].(map[string]any)["id"] != float64(me) {
		t.Errorf("left: %v", d)
	}
	if status := p.Status(); status != 0 || p.Complaints() != openText+"\n" {
		t.Errorf("exit status %d: %s", status, p.Stderr())
	}
}

// Each command has an example, and each example in help can be typed as it is.
func TestExamplesOfHelp(t *testing.T) {
	t.Parallel()
	r, addr := newRegistry(t)
	p := drive.Start(t, run, "-json", addr)
	p.Expect(`"registered".*\n`)
	start(t, 2, addr)
	start(t, 3, addr)
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	var commands []struct {
		Name, Help, More string
		Examples         []string
	}
	p.Type("help")
	if err := json.Unmarshal([]byte(p.Expect(`^.*\n`)[0]), &commands); err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, c := range commands {
		if len(c.Examples) == 0 || c.Help == "" || c.More == "" {
			t.Errorf("%s is not explained: %+v", c.Name, c)
		}
		if c.Name == "exit-overlay" { // it ends the program; other tests cover it
			continue
		}
		for _, line := range c.Examples {
			examples++
			p.Type(line)
			count := 1
			if strings.HasPrefix(line, "watch ") {
				fmt.Sscanf(line, "watch %d", &count)
			}
			for range count {
				if got := p.Expect(`^.*\n`)[0]; strings.Contains(got, `"error"`) {
					t.Errorf("%s: %s", line, got)
				}
			}
		}
	}
	if examples < 15 {
		t.Errorf("%d examples", examples)
	}
}

func TestNamesAndListings(t *testing.T) {
	t.Parallel()
	r, addr := newRegistry(t)
	p, me := start(t, 1, addr)
	q, other := start(t, 2, addr)
	p.Type("nodes")
	p.Expect(`^host +port +ID$`)
	p.Expect(fmt.Sprintf(`^127\.0\.0\.1 +\d+ +%d$`, me))
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	var at string
	for _, m := range r.Members() {
		if m.ID == other {
			at = m.Addr
		}
	}
	_, port, _ := strings.Cut(at, ":")
	for i, name := range []string{at, ":" + port, other.String() + "*"} {
		p.Type(fmt.Sprintf("send %s number %d", name, i))
		p.Expect(fmt.Sprintf(`^Sent to %d\.$`, other))
		q.Expect(fmt.Sprintf(`: number %d$`, i))
	}
	p.Type("send 127.0.0.1 you")
	p.ExpectError(`^send: "127\.0\.0\.1" is ambiguous: it can be \d+ \(\S+\) or \d+ \(\S+\) \(usage: send node text\)$`)
	p.Type("sned 5 you")
	p.ExpectError(`^unknown command "sned": did you mean send\? \(help lists them all\)$`)
	p.Type("print")
	p.Expect(`^link to  address +is +sent +queued$`)
	p.Expect(fmt.Sprintf(`^%d +%s  up `, other, at))
	p.Expect(`^  send buffer +\d+ B +of 8\.4 MB +0 %$`)
	p.Type("watch 1")
	p.Expect(`^\d\d:\d\d:\d\d  sent +\S+/s  delivered +\S+/s  relayed +0/s  dropped 0  queued 0 B$`)
	p.Type("table -json")
	var d report.RoutesDocument
	if err := json.Unmarshal([]byte(p.Expect(`^{.*\n`)[0]), &d); err != nil || d.ID != me || len(d.Entries) != 1 || d.Entries[0].ID != other {
		t.Errorf("%v, %+v", err, d)
	}
}
