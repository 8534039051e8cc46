package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/x/ringdht"

// layers lists the packages from the bottom to the top. A package may import those of lower
// layers only, so no arrow of the import graph runs back up.
var layers = [][]string{
	{"internal/leaks", "internal/plant"}, // for tests
	{"status", "internal/errs"},          // leaves, which every package may import
	{"internal/wire", "internal/ring", "internal/notify", "internal/reentry", "internal/backoff", "internal/logqueue", "internal/runcount", "internal/dial", "internal/statefile", "internal/secure", "topic/internal/broadcast", "internal/arc", "keys/internal/channel"},
	{"internal/fifo", "memnet"},
	{"internal/fence", "internal/link", "internal/stream", "internal/timewait", "internal/trace", "internal/roster", "internal/undelivered", "internal/workers"},
	{"internal/demux", "internal/peers"},
	{"internal/control", "internal/plane"},
	{"internal/membership", "internal/handshake", "internal/codec"},
	{"internal/node", "internal/registry"}, // the two wings: neither sees the other
	{"internal/unwrap"},
	{"."},
	{"internal/ringtest", "dashboard", "health", "rpc"},
	{"topic", "keys"},
}

// outside lists what a package may import from other modules.
var outside = map[string][]string{
	"internal/codec": {"github.com/hashicorp/go-msgpack/v2/codec"},
	"internal/dial":  {"golang.org/x/sync/semaphore"},
}

// tops are packages at the end of the graph, with what they may import.
var tops = map[string][]string{
	"internal/sim":         {"internal/backoff", "internal/control", "internal/fifo", "internal/membership", "internal/ring", "internal/secure", "internal/stream", "internal/wire"},
	"internal/chaos":       {".", "keys", "rpc", "status"},
	"internal/conformance": {"internal/codec", "internal/control", "internal/ring", "internal/secure", "internal/wire"},
	"internal/house":       {},
	"internal/house/vulns": {},
}

// wrongImports lists the imports in the module at dir that point the wrong way. Tests may
// import what is on the layer of their package or below, and the rig.
func wrongImports(dir string) (wrong []string, err error) {
	layer := make(map[string]int)
	for i, packages := range layers {
		for _, p := range packages {
			layer[p] = i
		}
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		name = filepath.ToSlash(name)
		if d.IsDir() && name != "." {
			if _, nested := os.Stat(filepath.Join(path, "go.mod")); nested == nil || strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir // a nested module has requirements of its own
			}
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from, test := filepath.ToSlash(filepath.Dir(name)), strings.HasSuffix(name, "_test.go")
		for _, spec := range f.Imports {
			to, _ := strconv.Unquote(spec.Path.Value)
			if first, _, _ := strings.Cut(to, "/"); !strings.Contains(first, ".") {
				continue // the standard library
			}
			if !mayImport(layer, from, to, test) {
				wrong = append(wrong, fmt.Sprintf("%s imports %s", name, to))
			}
		}
		return nil
	})
	return wrong, err
}

func mayImport(layer map[string]int, from, to string, test bool) bool {
	if to != module && !strings.HasPrefix(to, module+"/") {
		return slices.Contains(outside[from], to)
	}
	to = strings.TrimPrefix(strings.TrimPrefix(to, module), "/")
	if to == "" {
		to = "."
	}
	switch {
	case test && (to == "internal/leaks" || to == "internal/plant"):
		return true
	case strings.HasPrefix(from, "examples"): // what users can do, but for the study, which has no nodes
		return to == "." || to == "status" || to == "memnet" || to == "health" || to == "rpc" || to == "topic" || to == "keys" || strings.HasPrefix(to, "examples/internal/") || strings.HasPrefix(to, "examples/kv/") ||
			from == "examples/study" && to == "internal/ring" || from == "examples/internal/page" && to == "dashboard"
	case from == "dashboard": // what users can do
		return to == "." || to == "status" || test && (to == "memnet" || to == "internal/ringtest")
	case from == "rpc": // what users can do
		return to == "." || to == "status" || test && (to == "rpc" || to == "memnet" || to == "internal/ringtest")
	case from == "topic": // the same, and its pure core
		return to == "." || to == "status" || to == "rpc" || to == "topic/internal/broadcast" || test && (to == "topic" || to == "memnet" || to == "internal/ringtest")
	case from == "keys": // the same, and what the node keeps for it
		return to == "." || to == "status" || to == "rpc" || to == "internal/arc" || to == "internal/unwrap" || to == "keys/internal/channel" || test && (to == "keys" || to == "memnet" || to == "internal/ringtest")
	case tops[from] != nil:
		return slices.Contains(tops[from], to)
	}
	below, known := layer[to]
	at, placed := layer[from]
	if !known || !placed {
		return false
	}
	// A test in a package of its own may look down from the top: at the root and the rig.
	return below < at || test && (from == to || to == "." || to == "internal/ringtest" || to == "memnet" || below <= at)
}
