package ringtest_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/status"
)

// keepers are nodes that offer to hold the keys of a service. Frames between them need no streams.
type keepers struct {
	tr      *ringtest.Ring
	service string

	mu    sync.Mutex // guards all that follows, and what the keepers have
	queue []func()
	busy  bool
	lives map[uint64]*keeper
}

// keeper is one of them: the notes of a node, with an owner for each of its lives.
type keeper struct {
	all    *keepers
	node   *ringtest.Node
	mute   bool // it reports later, see speak
	life   uint64
	owner  *arc.Owner
	send   func([]byte) bool
	reader arc.NoteReader
	log    []string
	fresh  int // arcs that it has got without their state
	wrong  int // lives that had to end since another had their arcs

	slow    bool     // it takes states only when released
	waiting []func() // that are to be released
	figures status.KeyCounters
}

func newKeepers(tr *ringtest.Ring) *keepers {
	return &keepers{tr: tr, service: "accounts", lives: make(map[uint64]*keeper)}
}

// join adds a node.
func (a *keepers) join(t testing.TB, opts ...ringdht.NodeOption) *keeper {
	t.Helper()
	k := a.prepare(opts...)
	if err := k.node.Join(a.tr.Ctx(), a.tr.Line()); err != nil {
		t.Fatal(err)
	}
	a.tr.Nodes = append(a.tr.Nodes, k.node)
	return k
}

// prepare makes a node that has not joined.
func (a *keepers) prepare(opts ...ringdht.NodeOption) *keeper {
	k := &keeper{all: a, node: ringtest.NewNode(nil, a.tr.Options(opts)...)}
	ringtest.NodeOf(k.node).SetNotes(a.service, k)
	return k
}

// do runs f, and then what that has queued.
func (a *keepers) do(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.later(f)
	if a.busy {
		return
	}
	a.busy = true
	for len(a.queue) > 0 {
		next := a.queue[0]
		a.queue = a.queue[1:]
		next()
	}
	a.busy = false
}

func (a *keepers) later(f func()) { a.queue = append(a.queue, f) }

// Connected implements node.Notes.
func (k *keeper) Connected(life uint64, send func([]byte) bool) {
	shown := k.node.Incarnation()
	k.all.do(func() {
		if k.life != life {
			k.life, k.owner = life, arc.NewOwner(k)
			k.all.lives[life] = k
		}
		k.send, k.reader = send, arc.NoteReader{}
		k.logf("connected to %d, shows %d", life, shown)
		if !k.mute {
			k.report()
		}
	})
}

func (k *keeper) report() {
	for _, note := range arc.ReportNotes(16, true, k.owner.Report()) {
		k.send(note)
	}
}

// speak lets a mute keeper report.
func (k *keeper) speak() {
	k.all.do(func() { k.mute = false; k.report() })
}

// Note implements node.Notes.
func (k *keeper) Note(life uint64, body []byte) {
	body = slices.Clone(body)
	k.all.do(func() {
		n, err := k.reader.Read(body)
		switch {
		case err != nil || life != k.life:
			k.logf("note for %d in life %d: %v", life, k.life, err)
		case n.Kind == arc.NoteOrders:
			k.logf("orders")
			k.owner.Orders(n.Orders)
		case n.Kind == arc.NoteFrame && n.Frame.Kind == arc.Where:
			k.logf("life %d is of node %d, refused=%v", n.Frame.Life, n.Frame.Point, n.Frame.Refused)
		case n.Kind == arc.NoteFrame:
			k.owner.Handle(arc.Registry, n.Frame)
		}
	})
}

// Ended implements node.Notes.
func (k *keeper) Ended(life uint64) {
	k.all.do(func() {
		k.logf("ended %d", life)
		delete(k.all.lives, life)
		for _, other := range k.all.lives {
			other.owner.Gone(life)
		}
	})
}

func (k *keeper) logf(format string, args ...any) {
	k.log = append(k.log, fmt.Sprintf(format, args...))
}

// lines returns the log.
func (k *keeper) lines() []string {
	k.all.mu.Lock()
	defer k.all.mu.Unlock()
	return slices.Clone(k.log)
}

// holds reports whether the keeper holds a point.
func (k *keeper) holds(point uint64) bool {
	k.all.mu.Lock()
	defer k.all.mu.Unlock()
	_, holds := k.owner.Holds(point)
	return holds
}

// Send implements arc.OwnerOutput, as those that follow.
func (k *keeper) Send(to uint64, f arc.Frame) {
	from := k.life
	k.all.later(func() {
		if other := k.all.lives[to]; other != nil {
			other.owner.Handle(from, f)
		}
	})
}

func (k *keeper) Tell(f arc.Frame) { k.send(arc.AppendNote(nil, f)) }

func (k *keeper) Give(op uint64, _ arc.Arc) {
	owner := k.owner
	k.all.later(func() { owner.Gave(op, []byte("state"), true) })
}

func (k *keeper) Take(op uint64, _ arc.Arc, given []byte) {
	owner := k.owner
	if given == nil {
		k.fresh++
	}
	took := func() { owner.TookState(op, true) }
	if k.slow {
		k.waiting = append(k.waiting, took)
		return
	}
	k.all.later(took)
}

// release lets a slow keeper take what it waits for.
func (k *keeper) release() {
	k.all.do(func() {
		k.slow = false
		for _, took := range k.waiting {
			took()
		}
		k.waiting = nil
	})
}

// KeyCounters implements node.KeyCounter.
func (k *keeper) KeyCounters(life uint64) status.KeyCounters {
	k.all.mu.Lock()
	defer k.all.mu.Unlock()
	if life != k.life {
		return status.KeyCounters{}
	}
	return k.figures
}

func (k *keeper) Handle(arc.Message) {}
func (k *keeper) Resume(arc.Arc)     {}
func (k *keeper) Drop(arc.Arc, bool) {}
func (k *keeper) Left()              { k.logf("left") }
func (k *keeper) Over()              { k.wrong++ }
