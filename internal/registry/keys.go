package registry

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// maxNoteParts bounds the bytes of reports that are not whole yet, of one session and of all.
const (
	maxNoteParts    = 16 << 20
	maxAllNoteParts = 64 << 20
)

// keys has the authorities of services with keys, one for each. A service gets one with the first
// report about it, and loses it with the last life that has reported.
//
// keys.mu guards all of it, the authorities too, and is taken before Registry.mu. With keys.mu held,
// Registry.mu is taken for short: to see whether a session is attached, to draw a term, to find a
// member. An authority never works under Registry.mu. What it sends is queued.
//
// A note counts if its session is attached when the authority gets it, and removeMember tells of an
// end after it has detached the session. So an authority hears nothing of a life after its end, and
// of a session nothing after the next one of the same life.
//
// A life is a member's incarnation.
type keys struct {
	r                  *Registry
	mostParts, mostAll int // maxNoteParts and maxAllNoteParts, but for tests

	waiting atomic.Int32 // services that wait for reports, so that most passes of the reconcile loop need no lock

	mu       sync.Mutex // guards what follows, and session.notes
	services map[string]*keyService
	parts    int           // bytes of reports that are not whole, of all sessions
	ignored  atomic.Uint64 // notes without effect
}

// keyService is the authority of a service, and its arc.AuthorityOutput. keys.mu guards it.
type keyService struct {
	keys       *keys
	name       string
	authority  *arc.Authority
	lives      map[uint64]*keyLife // those that have reported
	recovering bool
	retiring   map[uint64]time.Time // lives whose Retire waits for reports, since when
	waitsSince time.Time            // for reports alone: the grace is over
	moves      map[uint64]*keyMove  // those under way, by term
	done, void uint64               // moves that have ended: with the state at the receiver, or otherwise
	times      status.Histogram     // of those that are done
	longest    time.Duration
	pruneAt    int      // with so many moves, see pruneMoves
	shown      *keyView // nil if something may have changed since
	arcs       int      // of the view before
}

// keyMove is a move under way.
type keyMove struct {
	since time.Time
	left  uint64 // points that have not moved yet; 0 before the first has if it is the whole ring
}

// keyLife is a life that has reported.
type keyLife struct {
	ref     ring.Ref
	session *session // over which its latest report came
	offers  bool
}

// noteReader reads the notes of a session about a service.
type noteReader struct {
	arc.NoteReader
	parts int // bytes of the report that is not whole
}

// handleNote handles a note of a member. A note that cannot be read is an error, since what it was
// for would be missing. One about a service that the member has not named has no effect.
func (r *Registry) handleNote(s *session, body []byte) error {
	var note control.Note
	if err := s.conn.Decode(body, &note); err != nil {
		return err
	}
	text, err := secure.Bytes(note.Body, control.MaxNote)
	if err != nil {
		return fmt.Errorf("%w: a note about %.64q: %w", wire.ErrBody, note.Service, err)
	}
	r.reserveTerms()
	k := &r.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	r.mu.Lock()
	counts := s.attached && slices.Contains(r.members.Keys(s.member.Ref()), note.Service)
	r.mu.Unlock()
	if !counts {
		k.ignored.Add(1)
		return nil
	}
	n, err := k.read(s, note.Service, text)
	switch {
	case errors.Is(err, arc.ErrKind):
		k.ignored.Add(1)
		r.cfg.WarnOften("unknown note", "ignored a note of a later kind", "from", s.remote, "node", peer(s.member))
		return nil
	case err != nil:
		return fmt.Errorf("%w: a note about %.64q: %w", wire.ErrBody, note.Service, err)
	}
	switch life := s.member.Incarnation; n.Kind {
	case arc.NoteReport:
		k.report(s, note.Service, n)
	case arc.NoteFrame:
		if v := k.services[note.Service]; n.Frame.Kind == arc.Where {
			k.where(s, note.Service, n.Frame.Life)
		} else if v == nil || v.lives[life] == nil || v.lives[life].session != s { // its report has not come over this connection
			k.ignored.Add(1)
		} else if v.shown = nil; n.Frame.Kind == arc.Retire {
			v.retire(life)
		} else {
			v.authority.Handle(life, n.Frame)
		}
	}
	return nil
}

// read puts the parts of reports together.
func (k *keys) read(s *session, service string, text []byte) (arc.Note, error) {
	reader := s.notes[service]
	if reader == nil {
		if s.notes == nil {
			s.notes = make(map[string]*noteReader)
		}
		reader = new(noteReader)
		s.notes[service] = reader
	}
	n, err := reader.Read(text)
	switch {
	case err != nil:
	case n.Kind == arc.NotePart:
		reader.parts += len(text)
		k.parts += len(text)
		all := 0
		for _, r := range s.notes {
			all += r.parts
		}
		if all > k.mostParts || k.parts > k.mostAll {
			err = fmt.Errorf("reports of more than %d bytes", min(all, k.parts))
		}
	case n.Kind != arc.NoteFrame: // a frame may come between
		k.parts -= reader.parts
		reader.parts = 0
	}
	return n, err
}

// forget drops what a session has not completed. A session calls it at its end.
func (k *keys) forget(s *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range s.notes {
		k.parts -= r.parts
	}
	s.notes = nil
}

// report takes a whole report.
func (k *keys) report(s *session, service string, n arc.Note) {
	ref := s.member.Ref()
	v := k.services[service]
	if v == nil {
		v = k.open(service)
	}
	v.lives[ref.Incarnation] = &keyLife{ref, s, n.Offers}
	v.shown = nil
	if v.recovering && !v.countsOn(ref, n.Report) {
		return
	}
	retires := n.Report.Retiring && !v.recovering
	n.Report.Retiring = n.Report.Retiring && v.recovering
	v.authority.Report(n.Member(ref.Incarnation, arc.NodePoint(ref.ID)), n.Report)
	if retires {
		v.retire(ref.Incarnation)
	}
	if v.waits() {
		k.r.wake()
	}
}

// expel declares a life dead. gone follows.
func (v *keyService) expel(ref ring.Ref, why string) {
	r := v.keys.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members.Expel(r.now(), ref, why)
	r.wake()
}

// open makes the authority of a service. It recovers if a life of an earlier registry may report:
// as long as more may come back, and later if one is back that has named the service. None has reported.
func (k *keys) open(service string) *keyService {
	k.r.mu.Lock()
	recovering := k.r.members.MayComeBack()
	for range k.r.members.BackWithKeys(service) {
		recovering = true
		break
	}
	k.r.mu.Unlock()
	v := &keyService{keys: k, name: service, lives: make(map[uint64]*keyLife), retiring: make(map[uint64]time.Time), moves: make(map[uint64]*keyMove), recovering: recovering}
	v.authority = arc.NewAuthority(k.r.drawTerm, recovering, v)
	if recovering {
		k.waiting.Add(1)
	}
	k.services[service] = v
	return v
}

// closeIfEmpty forgets the authority when no life is left. Nothing relies on it any more: no life has
// anything to hold or to give. The next authority draws greater terms, and its bar ends what is under way.
func (v *keyService) closeIfEmpty() {
	if len(v.lives) > 0 {
		return
	}
	delete(v.keys.services, v.name)
	if v.waits() {
		v.keys.waiting.Add(-1)
	}
}

// gone tells all authorities that a life is over. It must be called without Registry.mu, after the
// life's session was detached.
func (k *keys) gone(ref ring.Ref) {
	k.mu.Lock()
	none := len(k.services) == 0
	k.mu.Unlock()
	if none {
		return
	}
	k.r.reserveTerms()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, v := range k.services {
		if v.lives[ref.Incarnation] == nil {
			continue
		}
		waited := v.waits()
		delete(v.lives, ref.Incarnation)
		if delete(v.retiring, ref.Incarnation); waited && !v.waits() {
			k.waiting.Add(-1)
		}
		v.shown = nil
		v.authority.Gone(ref.Incarnation)
		v.pruneMoves()
		v.closeIfEmpty()
	}
}

// where answers which node has a life that has reported. Lists of members lack those that are about to leave.
// Before it has recovered it knows of no life that it is over: those that have not reported may come.
func (k *keys) where(s *session, service string, life uint64) {
	answer := arc.Frame{Kind: arc.Where, Life: life, Refused: true}
	if v := k.services[service]; v == nil {
		return
	} else if l := v.lives[life]; l != nil {
		answer = arc.Frame{Kind: arc.Where, Life: life, Point: l.ref.ID}
	} else if v.recovering {
		return
	}
	s.sendNote(service, arc.AppendNote(nil, answer))
}

// sendNote queues a note. It needs no error handling: a session whose queue fails ends by itself.
func (s *session) sendNote(service string, body []byte) {
	s.conn.Send(control.TypeNote, control.Note{Service: service, Body: secure.Text(body)})
}

// Tell implements arc.AuthorityOutput. A session that has ended drops it.
func (v *keyService) Tell(life uint64, f arc.Frame) {
	switch {
	case f.Kind == arc.Grant && f.Life != 0:
		v.moves[f.Term] = &keyMove{time.Now(), points(f.Arc)}
	case f.Kind == arc.Settled:
		v.settled(f.Arc, f.Term)
	}
	if l := v.lives[life]; l != nil {
		l.session.sendNote(v.name, arc.AppendNote(nil, f))
	}
}

// Orders implements arc.AuthorityOutput.
func (v *keyService) Orders(life uint64, o arc.Orders) {
	if l := v.lives[life]; l != nil {
		for _, note := range arc.OrdersNotes(o) {
			l.session.sendNote(v.name, note)
		}
	}
}

// Refused implements arc.AuthorityOutput. The life is declared dead, and its node joins as a new one.
func (v *keyService) Refused(life uint64) {
	v.expel(v.lives[life].ref, fmt.Sprintf("it holds keys of %.64q of which this registry knows nothing", v.name))
}

// drawTerm draws a term. Terms and incarnations have one generator, so members report the greatest that
// they have seen, and a later registry draws greater ones.
func (r *Registry) drawTerm() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	term := r.members.Term(r.wallNanos())
	if r.sec != nil {
		r.sec.noteGiven(term)
	}
	return term
}

// reserveTerms writes a reserve for the terms that are drawn next, in a secure ring. It must be called
// without a lock. If it cannot be written, terms are drawn all the same: what members have seen of
// them is in their next Register, as in an open ring.
func (r *Registry) reserveTerms() {
	if r.sec == nil {
		return
	}
	r.mu.Lock()
	latest := r.members.LatestIncarnation()
	r.mu.Unlock()
	if err := r.sec.reserve(latest + membership.MaxTerms); err != nil {
		r.cfg.WarnOften("", "the state of the ring cannot be written", "err", err)
	}
}
