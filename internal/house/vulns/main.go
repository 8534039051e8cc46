// Command vulns reads what `govulncheck -format json` found, and says what to do about it.
// It fails on vulnerable code of a required module that this code calls: a newer version
// mends that. Those of the standard library depend on the Go that builds, so it only lists
// them.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	all, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vulns:", err)
		os.Exit(2)
	}
	if !all.print(os.Stdout) {
		os.Exit(1)
	}
}

// message is one of those that govulncheck prints.
type message struct {
	Config *struct {
		GoVersion string `json:"go_version"`
		ScanLevel string `json:"scan_level"`
	}
	OSV *struct {
		ID      string
		Summary string
	}
	Finding *struct {
		OSV   string
		Fixed string `json:"fixed_version"`
		Trace []struct{ Module, Version, Package, Function string }
	}
}

// findings are by vulnerability and module.
type findings struct {
	goVersion string
	summaries map[string]string
	called    map[key]vulnerability
	imported  map[key]bool // and not called
}

type key struct{ id, module string }

type vulnerability struct{ version, fixed, caller string }

// stdlib is what govulncheck calls the standard library.
const stdlib = "stdlib"

// read reads all messages. Without the first one, about the scan, there was none.
func read(r io.Reader) (*findings, error) {
	all := &findings{summaries: make(map[string]string), called: make(map[key]vulnerability), imported: make(map[key]bool)}
	for d := json.NewDecoder(r); ; {
		var m message
		err := d.Decode(&m)
		switch {
		case err == io.EOF && all.goVersion == "":
			return nil, errors.New("govulncheck printed nothing: see its error above")
		case err == io.EOF:
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("the output of govulncheck: %w", err)
		}
		all.add(m)
	}
}

func (all *findings) add(m message) {
	if m.Config != nil {
		all.goVersion = m.Config.GoVersion
	}
	if m.OSV != nil {
		all.summaries[m.OSV.ID] = m.OSV.Summary
	}
	if m.Finding == nil || len(m.Finding.Trace) == 0 {
		return
	}
	// A trace leads from the vulnerable code back to the caller in this module. Without a
	// function, the code is imported at most.
	code, caller := m.Finding.Trace[0], m.Finding.Trace[len(m.Finding.Trace)-1]
	k := key{m.Finding.OSV, code.Module}
	switch {
	case code.Function != "":
		all.called[k] = vulnerability{code.Version, m.Finding.Fixed, caller.Package}
		delete(all.imported, k)
	case all.called[k] == vulnerability{}:
		all.imported[k] = true
	}
}

// print lists what was found, and reports whether all is well.
func (all *findings) print(w io.Writer) (ok bool) {
	ok = true
	ids, newest := 0, ""
	for _, k := range slices.SortedFunc(maps.Keys(all.called), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.module, b.module), cmp.Compare(a.id, b.id))
	}) {
		v := all.called[k]
		if k.module == stdlib {
			ids++
			newest = later(newest, v.fixed)
			fmt.Fprintf(w, "  %s of the standard library: %s\n", k.id, all.summaries[k.id])
			continue
		}
		ok = false
		what := "go get " + k.module + "@" + v.fixed
		if v.fixed == "" {
			what = "no version mends it: do without that code"
		}
		fmt.Fprintf(w, "VULNERABLE: %s in %s %s, called by %s: %s. %s\n", k.id, k.module, v.version, v.caller, all.summaries[k.id], what)
	}
	if ids > 0 {
		fmt.Fprintf(w, "WARNING: %s has %d vulnerabilities in code that is called. Build with %s or newer.\n",
			all.goVersion, ids, cmp.Or(strings.Replace(newest, "v", "go", 1), "a version that mends them, once there is one,"))
	}
	fmt.Fprintf(w, "%d called, %d of them of the standard library; %d more in modules that are required, and not called\n", len(all.called), ids, len(all.imported))
	return ok
}

// later returns the later of two versions, as v1.26.10.
func later(a, b string) string {
	var x, y [3]int
	fmt.Sscanf(a, "v%d.%d.%d", &x[0], &x[1], &x[2])
	fmt.Sscanf(b, "v%d.%d.%d", &y[0], &y[1], &y[2])
	if slices.Compare(x[:], y[:]) < 0 {
		return b
	}
	return a
}
