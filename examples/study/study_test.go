package main

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/x/ringdht/examples/internal/drive"
	"github.com/x/ringdht/internal/ring"
)

func TestStudyOfOneRing(t *testing.T) {
	p := drive.Start(t, run, "-n", "1000", "-k", "10")
	p.Expect(`^nodes +entries +plan +hops: mean +most +if lagging +relayed +live: mean `)
	p.Expect(`^ +1000 +10 +classic +4\.937 +9 +10 +3\.937 +4\.\d+ +\d+ +0\.\d\d `)
	p.Expect(`^ +1000 +10 +best +4\.3\d\d +6 +9 +3\.3\d\d `)
	p.Expect(`^classic +1 2 4 8 16 32 64 128 256 512$`)
	p.Expect(`^best +1 2 `)
	p.Expect(`^ +1 +1\.0 % +1\.0 %$`)
	p.Expect(`^ +9 +0\.5 %$`)
	if status := p.Status(); status != 0 || p.Stderr() != "" {
		t.Errorf("exit status %d, stderr %q", status, p.Stderr())
	}
}

// The values agree with the offsets beside them, even in the largest ring.
func TestStudyOfMany(t *testing.T) {
	p := drive.Start(t, run, "-n", "2,10,300,1000000", "-k", "3,auto,16", "-simulate", "300", "-csv")
	if status := p.Status(); status != 0 || p.Stderr() != "" {
		t.Fatalf("exit status %d, stderr %q", status, p.Stderr())
	}
	rows, err := csv.NewReader(strings.NewReader(p.Stdout())).ReadAll()
	if err != nil || len(rows) != 1+4*3*2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	names := rows[0]
	classic := 0.0
	for _, cells := range rows[1:] {
		value := func(name string) float64 {
			for i, n := range names {
				if n == name {
					v, err := strconv.ParseFloat(cells[i], 64)
					if err != nil {
						t.Fatalf("%s of %v: %v", name, cells, err)
					}
					return v
				}
			}
			t.Fatalf("no column %s", name)
			return 0
		}
		var o ring.Offsets
		for word := range strings.FieldsSeq(cells[len(cells)-1]) {
			c, _ := strconv.Atoi(word)
			o = append(o, c)
		}
		n := int(value("nodes"))
		sum := 0.0
		for d := 1; d < n; d += 1 + n/10_000 { // a sample of the largest ring's
			sum += float64(o.Hops(d))
		}
		mean := sum / math.Ceil(float64(n-1)/float64(1+n/10_000))
		if value("entries") != float64(len(o)) || math.Abs(value("mean_hops")-mean) > 0.001+mean/1000*float64(n/10_000) || math.Abs(value("relayed")+1-value("mean_hops")) > 0.0011 ||
			value("max_hops_lagging") < value("max_hops") {
			t.Errorf("%v: mean %.3f", cells, mean)
		}
		if cells[2] == "classic" {
			classic = value("mean_hops")
		} else if value("mean_hops") > classic {
			t.Errorf("%v: classic has %.3f", cells, classic)
		}
		if n > 300 {
			continue
		}
		if m := value("live_mean_hops"); m < 1 || value("live_max_hops") > value("max_hops_lagging") ||
			value("live_relayed_min") > value("live_relayed_median") || value("live_relayed_median") > value("live_relayed_max") {
			t.Errorf("%v", cells)
		}
	}
}

// If not all routes are walked, the relays of single nodes are left out.
// The lines of JSON are the rows of the table.
func TestStudyAsJSON(t *testing.T) {
	p := drive.Start(t, run, "-n", "10,20", "-k", "3", "-simulate", "15", "-json")
	if status := p.Status(); status != 0 || p.Stderr() != "" {
		t.Fatalf("exit status %d, stderr %q", status, p.Stderr())
	}
	lines := strings.Split(strings.TrimSpace(p.Stdout()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		var d struct {
			Nodes    int
			Plan     string
			Offsets  []int
			MeanHops float64  `json:"mean_hops"`
			Live     *float64 `json:"live_mean_hops"`
		}
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if d.Nodes != 10*(1+i/2) || d.Plan != []string{"classic", "best"}[i%2] || len(d.Offsets) != 3 || d.MeanHops <= 1 || (d.Live == nil) != (i > 1) {
			t.Errorf("row %d: %s", i, line)
		}
	}
	if d := lines[0]; !strings.Contains(d, `"mean_hops":1.889`) {
		t.Errorf("10 nodes, 3 entries: %s", d)
	}
}

func TestLargeRingsAreSampled(t *testing.T) {
	l := live(700, plans[1].layout(0).For(700), 1, 699)
	if l.all || l.relays(0) != "" || l.mean < 3 || l.mean > 6 || l.join < 10 || l.new < l.join {
		t.Errorf("%+v", l)
	}
}

// Tables that have just been sent have exactly the calculated routes.
func TestPaperIsWhatIsWalked(t *testing.T) {
	for _, p := range plans {
		w := &world{rng: newRand(3, 200), layout: p.layout(6), plans: ring.NewPlans()}
		w.change(0, 200)
		var l lived
		w.walk(&l)
		r := newRow(200, 6, p, 0, 1)
		if math.Abs(l.mean-r.mean) > 1e-9 || l.most != r.most() || math.Abs(l.relayed[0]-(r.mean-1)) > 1e-9 || l.relayed[0] != l.relayed[2] {
			t.Errorf("%s: walked %+v, on paper mean %.4f, at most %d", p.name, l, r.mean, r.most())
		}
	}
}

func TestPlot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes.svg")
	p := drive.Start(t, run, "-n", "20", "-simulate", "0", "-svg", file)
	if status := p.Status(); status != 0 {
		t.Fatalf("exit status %d, stderr %q", status, p.Stderr())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	curves := 0
	d := xml.NewDecoder(strings.NewReader(string(text)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			curves++
		}
	}
	if curves != 6 || strings.Contains(string(text), "NaN") {
		t.Errorf("%d curves: %s", curves, text)
	}
}

func TestBadFlags(t *testing.T) {
	for args, stderr := range map[string]string{
		"-n 1":          `^study: invalid value "1" for flag -n: expected whole numbers from 2 to 1000000 `,
		"-n 5,1000001":  `^study: invalid value "5,1000001" for flag -n`,
		"-n auto":       `^study: invalid value "auto" for flag -n`,
		"-k 0":          `^study: invalid value "0" for flag -k: expected whole numbers from 1 `,
		"-k many":       `^study: invalid value "many" for flag -k`,
		"12345":         `^study: expected flags only, got "12345" `,
		"-csv -json":    `^study: expected -csv or -json, not both `,
		"-what":         `^study: flag provided but not defined: -what `,
		"-simulate all": `^study: invalid value "all" for flag -simulate`,
	} {
		p := drive.Start(t, run, strings.Fields(args)...)
		if status := p.Status(); status != 2 {
			t.Errorf("%s: exit status %d", args, status)
		}
		if e := p.Stderr(); !regexp.MustCompile(stderr).MatchString(e) || strings.Count(e, "\n") != 1 {
			t.Errorf("%s: stderr is %q", args, e)
		}
	}
	p := drive.Start(t, run, "-n", "3", "-svg", filepath.Join(t.TempDir(), "none", "routes.svg"))
	if status := p.Status(); status != 1 {
		t.Errorf("a file that cannot be written: exit status %d", status)
	}
}
