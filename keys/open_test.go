package keys

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht"
)

// log is an Owner whose state is text.
type log struct {
	mu    sync.Mutex
	text  map[string]string
	drops []bool
}

func (l *log) Handle(_ context.Context, m Message) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text[m.Key] += string(m.Body)
	return []byte(l.text[m.Key]), nil
}

func (l *log) Give(_ context.Context, a Arc, w io.Writer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, text := range l.text {
		if a.Has(Point(key)) {
			io.WriteString(w, key+"="+text+"\n")
		}
	}
	return nil
}

func (l *log) Take(_ context.Context, a Arc, r io.Reader) error {
	if r == nil {
		return nil
	}
	b, err := io.ReadAll(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(b)) {
		key, text, _ := strings.Cut(strings.TrimSpace(line), "=")
		if a.Has(Point(key)) {
			l.text[key] = text
		}
	}
	return err
}

func (l *log) Resume(Arc) {}

func (l *log) Drop(_ context.Context, a Arc, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.text {
		if a.Has(Point(key)) {
			delete(l.text, key)
		}
	}
	l.drops = append(l.drops, lost)
}

// The lower face moves states with the functions of its Owner.
func TestOpen(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		var all []*Keys
		var owners []*log
		for i := range 4 {
			p := &member{r: r}
			n := ringdht.NewNode(r.Options([]ringdht.NodeOption{ringdht.WithID(ringdht.ID(10 * (i + 1)))})...)
			var owner func() Owner
			if i != 2 {
				owner = func() Owner {
					l := &log{text: make(map[string]string)}
					owners = append(owners, l)
					return l
				}
			}
			k := Open(n, "log", owner)
			p.Node = newNode(n)
			r.Nodes = append(r.Nodes, p.Node)
			r.join(p)
			all = append(all, k)
		}
		r.Setup(0)
		for _, key := range keysOf(20) {
			for _, s := range []string{"a", "b"} {
				if err := all[2].Send(r.Ctx(), key, []byte(s)); err != nil {
					t.Error(err)
				}
			}
		}
		if err := all[2].Flush(r.Ctx()); err != nil {
			t.Error(err)
		}
		for _, n := range []int{0, 3} {
			if err := r.Nodes[n].Leave(r.Ctx()); err != nil {
				t.Error(err)
			}
		}
		for _, key := range keysOf(20) {
			if got, err := all[2].Call(r.Ctx(), key, []byte("c")); string(got) != "abc" || err != nil {
				t.Errorf("%s: %q, %v", key, got, err)
			}
		}
		if id, err := all[2].Owner(r.Ctx(), "x"); id != 20 || err != nil {
			t.Error(id, err)
		}
		r.Nodes[1].Close() // no leave: its states are lost
		synctest.Wait()
		for _, o := range owners {
			if len(owners) != 3 || len(o.text) > 0 || !slices.Contains(o.drops, true) {
				t.Errorf("%d owners, one has %v, %v", len(owners), o.text, o.drops)
			}
		}
	})
}
