package ringdht

import (
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

type namelessCodec struct{ Codec }

func (namelessCodec) Name() string { return "" }

// Every mistake names its option.
func TestOptionsAreValidated(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  NodeOption
	}{
		{"WithCodec", WithCodec(nil)},
		{"WithCodec", WithCodec(namelessCodec{})},
		{"WithTransport", WithTransport(nil)},
		{"WithLogger", WithLogger(nil)},
		{"WithRing", WithRing(strings.Repeat("x", 256))},
		{"WithHandshakeTimeout", WithHandshakeTimeout(0)},
		{"WithListen", WithListen("nonsense")},
		{"WithAdvertise", WithAdvertise(":5")},
		{"WithAdvertise", WithAdvertise("host:0")},
		{"WithAdvertise", WithAdvertise("[::1%\x1bc]:5")},
		{"SendBuffer", WithLimits(Limits{SendBuffer: -1})},
		{"ReceiveBuffer", WithLimits(Limits{ReceiveBuffer: 1})},
		{"HandlerBacklog", WithLimits(Limits{HandlerBacklog: 1})},
		{"LinkQueue", WithLimits(Limits{LinkQueue: 1})},
		{"Handlers", WithLimits(Limits{Handlers: -1})},
		{"Streams", WithLimits(Limits{Streams: -1})},
	} {
		_, err := Join(t.Context(), "localhost:1", nil, c.opt)
		if err == nil || !strings.Contains(err.Error(), c.name+":") && !strings.Contains(err.Error(), c.name+" is") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, c := range []struct {
		name string
		opt  RegistryOption
	}{
		{"WithBits", WithBits(0)},
		{"WithBits", WithBits(65)},
		{"WithMaxPayload", WithMaxPayload(3)},
		{"WithMaxPayload", WithMaxPayload(8<<20 + 1)},
		{"WithLease", WithLease(time.Millisecond)},
		{"WithCodec", WithCodec(nil)},
	} {
		if _, err := NewRegistry(c.opt); err == nil || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := NewRegistry(WithBits(64), WithLogger(slog.Default()), WithRing("")); err != nil {
		t.Error(err)
	}
}

// Imports point one way: the root to internal packages, these never to the root;
// the data plane knows no codec; msgpack has one importer; examples see only the
// root, but for the study of routes, which has no nodes to see.
func TestImportDirections(t *testing.T) {
	const root = "github.com/x/ringdht"
	allowed := map[string][]string{
		"internal/wire":       {},
		"internal/ring":       {},
		"internal/memnet":     {},
		"internal/fifo":       {"internal/wire"},
		"internal/stream":     {"internal/wire", "internal/fifo"},
		"internal/link":       {"internal/fifo", "internal/wire", "internal/memnet"},                  // memnet in tests
		"internal/control":    {"internal/link", "internal/ring", "internal/wire", "internal/memnet"}, // memnet in tests
		"internal/membership": {"internal/control", "internal/ring", "internal/wire"},
		"internal/sim":        {"internal/control", "internal/membership", "internal/ring", "internal/stream", "internal/wire"},
		"internal/plane":      {"internal/link", "internal/memnet", "internal/ring", "internal/stream", "internal/fifo", "internal/wire"},
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "." {
			if _, none := os.Stat(filepath.Join(path, "go.mod")); none == nil {
				return filepath.SkipDir // a module of its own, with requirements of its own
			}
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		for _, spec := range f.Imports {
			to, _ := strconv.Unquote(spec.Path.Value)
			outside := strings.Contains(strings.SplitN(to, "/", 2)[0], ".")
			rel := strings.TrimPrefix(to, root+"/")
			switch {
			case strings.HasPrefix(to, "github.com/hashicorp/") && path != "codec.go" && path != "codec_sendable_test.go":
				t.Errorf("%s imports %s: only codec.go may", path, to)
			case strings.HasPrefix(dir, "internal/"):
				ok := !outside || dir == "internal/chaos" && rel == root // a program, made of its tests
				for _, a := range allowed[dir] {
					ok = ok || rel == a
				}
				if !ok {
					t.Errorf("%s imports %s", path, to)
				}
			case dir == "dashboard":
				if outside && to != root {
					t.Errorf("%s imports %s", path, to)
				}
			case strings.HasPrefix(dir, "examples"):
				paper := dir == "examples/study" && rel == "internal/ring"
				page := dir == "examples/internal/page" && rel == "dashboard"
				if outside && to != root && !paper && !page && !strings.HasPrefix(rel, "examples/internal/") {
					t.Errorf("%s imports %s", path, to)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
