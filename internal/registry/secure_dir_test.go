package registry_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Each thing that can be wrong with the directory has an error that says what to do.
func TestDirectoryOfASecureRing(t *testing.T) {
	ringtest.OpenOnly(t, "it makes an open ring as well")
	make := func(opts ...ringdht.RegistryOption) (dir string) {
		t.Helper()
		dir = t.TempDir()
		tr := ringtest.New(t, memnet.New(1), append([]ringdht.RegistryOption{ringdht.WithState(dir), ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Millisecond)}, opts...)...)
		waitOpen(t, tr)
		if len(opts) > 0 {
			newProcess(t, tr.Net, lineOf(t, tr)).join()
		} else {
			tr.Join(nil)
		}
		tr.Close()
		return dir
	}
	secured := func() string { return make(ringdht.WithSecurity(0)) }
	for name, c := range map[string]struct {
		dir    string
		change func(dir string)
		opts   []ringdht.RegistryOption
		want   string
	}{
		"nothing":        {secured(), func(string) {}, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, ""},
		"no security":    {secured(), func(string) {}, nil, "keeps a secure ring"},
		"an open ring":   {make(), func(string) {}, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "keeps an open ring"},
		"no key":         {secured(), func(d string) { os.Remove(filepath.Join(d, "ring.key")) }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "ring.key is missing"},
		"no state":       {secured(), func(d string) { os.Remove(filepath.Join(d, "security.json")) }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "security.json is missing"},
		"another key":    {secured(), func(d string) { copyFile(t, secured(), d, "ring.key") }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "is not the key of this ring"},
		"no key in it":   {secured(), func(d string) { os.WriteFile(filepath.Join(d, "ring.key"), []byte("x"), 0o600) }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "not the key of a ring"},
		"readable":       {secured(), func(d string) { os.Chmod(filepath.Join(d, "ring.key"), 0o644) }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "chmod 600"},
		"readable state": {secured(), func(d string) { os.Chmod(filepath.Join(d, "security.json"), 0o640) }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "chmod 600"},
		"damaged": {secured(), func(d string) {
			os.WriteFile(filepath.Join(d, "security.json"), []byte(`{"version": 1, "tokens": [{"secret": "6162`), 0o600)
		}, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "restore it"},
	} {
		c.change(c.dir)
		r, err := ringdht.NewRegistry(append(c.opts, ringdht.WithState(c.dir))...)
		if err == nil {
			r.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		} else if err != nil {
			t.Log(err)
		}
	}
	for _, name := range []string{"ring.key", "security.json", "ring.json"} {
		info, err := os.Stat(filepath.Join(secured(), name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func copyFile(t *testing.T, from, to, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(from, name))
	if err == nil {
		err = os.WriteFile(filepath.Join(to, name), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A change that cannot be written has not happened, and the ring goes on.
func TestChangesThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	tr := secureAt(t, memnet.New(1), dir, ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Millisecond))
	waitOpen(t, tr)
	line := lineOf(t, tr)
	once := lineOf(t, tr, newToken(t, tr, status.TokenTerms{Once: true}).Number)
	n := newProcess(t, tr.Net, line).join()
	key := tr.Registry.Snapshot().Security.Key
	block := func(name string) func() {
		path := filepath.Join(dir, name+".tmp")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return func() { os.Remove(path) }
	}
	unblock := block("security.json")
	ctx := context.Background()
	for what, err := range map[string]error{
		"expel":  tr.Registry.Expel(ctx, ringdht.ID(n.id)),
		"rotate": tr.Registry.RotateTokens(ctx),
		"key":    tr.Registry.RotateKey(ctx),
		"token":  func() error { _, err := tr.Registry.NewToken(ctx, status.TokenTerms{}); return err }(),
	} {
		if err == nil || !contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused := newProcess(t, tr.Net, once).tryJoin()
	if refused == nil || refused.Code != control.CodeWait {
		t.Errorf("a token for one node was not written as used: %v", refused)
	}
	if r := n.comeBack(n.resume()); r != nil {
		t.Errorf("a member: %v", r)
	}
	s := tr.Registry.Snapshot()
	if len(s.Security.Expelled) != 0 || s.Security.Key != key || s.Security.OldKey != "" || lineOf(t, tr) != line || len(s.Members) != 1 {
		t.Errorf("%+v", s.Security)
	}
	unblock()
	newProcess(t, tr.Net, once).join()
	if err := tr.Registry.Expel(ctx, ringdht.ID(n.id)); err != nil {
		t.Error(err)
	}
	unblock = block("ring.key")
	if err := tr.Registry.RotateKey(ctx); err == nil || tr.Registry.Snapshot().Security.Key != key {
		t.Error("a key that was not written is in use:", err)
	}
	unblock()
	if err := tr.Registry.RotateKey(ctx); err != nil {
		t.Error(err)
	}
	want := tr.Registry.Snapshot().Security
	restart(t, tr, dir)
	got := tr.Registry.Snapshot().Security
	if got.Key != want.Key || got.OldKey != want.OldKey || !got.OldUntil.Equal(want.OldUntil) || !slices.Equal(tokenStates(got), tokenStates(want)) || len(got.Expelled) != 1 {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func tokenStates(s *status.Security) (all []status.TokenState) {
	for _, t := range s.Tokens {
		all = append(all, t.State)
	}
	return all
}

// A registry that starts from a copy of another's directory says that there may be two. At its own
// directory it says nothing.
func TestCopiedDirectoryIsSaid(t *testing.T) {
	ringtest.OpenOnly(t, "it makes a secure ring itself")
	if runtime.GOOS == "windows" {
		t.Skip("files have no numbers here")
	}
	start := func(dir string) (*ringdht.Registry, string) {
		t.Helper()
		log := ringtest.NewLog()
		r, err := ringdht.NewRegistry(ringdht.WithState(dir), ringdht.WithSecurity(0), log.Option())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r, log.Text()
	}
	dir, other := t.TempDir(), t.TempDir()
	first, _ := start(dir)
	first.Close()
	if _, text := start(dir); contains(text, "copy") { // it goes on
		t.Error(text)
	}
	for _, name := range []string{"ring.key", "security.json", "ring.json", "lock"} {
		copyFile(t, dir, other, name)
	}
	if _, text := start(other); !contains(text, "this state is a copy") {
		t.Errorf("nothing is said: %s", text)
	}
}
