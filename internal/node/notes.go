package node

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// MaxNote is the longest body of a note.
const MaxNote = control.MaxNote

// Notes is what a package of this module does with the notes that the registry and the node send each
// other about a service with keys. The calls come one at a time, also over incarnations: a lock of
// their own sees to that, which no method of the node takes. So a call may use the node, but for what
// waits for the end of the call: Close, Leave, and Flush for example.
type Notes interface {
	// Connected says that the registry has admitted the node as this incarnation, on a new connection.
	// It is called on the goroutine of Join, and later on controlLoop, before the node reads anything
	// else. A new incarnation takes and sends nothing before it returns.
	//
	// send queues a note for the registry on this connection. It may be called on any goroutine, copies
	// the body, and never waits. It reports false, and drops the note, if the connection has ended, if the
	// registry is of an earlier version, or if the body is longer than [MaxNote]. The notes sent
	// before Connected returns are the report: they come before all else that the node sends.
	Connected(incarnation uint64, send func(body []byte) bool)
	// Note takes a note over the latest connection. It is called on controlLoop, and must not wait. The
	// body is valid until it returns.
	Note(incarnation uint64, body []byte)
	// Ended says that an incarnation is over, once for each of which Connected was told. Its handlers have
	// returned. It is called on the goroutine that ends it: that of Close, of Leave, or controlLoop. They
	// return after it, and the next incarnation begins after it.
	Ended(incarnation uint64)
}

// KeyCounter is what Notes may have besides: figures for the node's status, which heartbeats carry to
// the registry. Package keys has it.
type KeyCounter interface {
	// KeyCounters returns the figures of an incarnation, zero if it is not the present one. Any goroutine
	// may call it. It must not wait, and must not use the node.
	KeyCounters(incarnation uint64) status.KeyCounters
}

// keyStatus lists the figures of the services with keys, by name.
func (n *Node) keyStatus(incarnation uint64) (all []status.NodeKeys) {
	for _, s := range n.noted {
		if c, ok := s.notes.(KeyCounter); ok {
			all = append(all, status.NodeKeys{Service: s.service, KeyCounters: c.KeyCounters(incarnation)})
		}
	}
	return all
}

// noted is a service with keys.
type noted struct {
	service string
	notes   Notes

	mu          sync.Mutex // held during calls of notes; locks of the node may be taken within
	incarnation uint64     // the latest that was told
	over        bool       // its end was told, too
}

// SetNotes sets what the node does with notes about a service. It panics if that is a mistake in the
// program: there is one for the service, there are too many, notes is nil, or Join was called.
func (n *Node) SetNotes(service string, notes Notes) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mustBeNew("SetNotes", service)
	n.mustBeFirst("SetNotes", service, notes == nil, slices.ContainsFunc(n.noted, func(s *noted) bool { return s.service == service }))
	if err := wire.CheckService(service); err != nil {
		panic(fmt.Sprintf("ringdht: SetNotes of the service %q: %v", service, err))
	}
	all := append(slices.Clone(n.noted), &noted{service: service, notes: notes})
	slices.SortFunc(all, func(a, b *noted) int { return strings.Compare(a.service, b.service) })
	if err := control.CheckKeys(servicesOf(all)); err != nil {
		panic(fmt.Sprintf("ringdht: SetNotes of the service %q: %v", service, err))
	}
	n.noted = all
}

// servicesOf lists the services with keys, ascending.
func servicesOf(all []*noted) []string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.service
	}
	return names
}

// SawTerm notes a term of a service with keys, so that the registry draws greater ones. Terms and
// incarnations have one generator. It takes no lock.
func (n *Node) SawTerm(term uint64) { n.noteIncarnation(term) }

// notesConnected tells of a new connection. takes says that the registry takes notes. No lock is held.
func (n *Node) notesConnected(incarnation uint64, ctl *control.Conn, takes bool) {
	if len(n.noted) > 0 && !takes {
		n.cfg.WarnOften("no notes", "the registry is of an earlier version: it decides nothing for services with keys", "services", servicesOf(n.noted))
	}
	for _, s := range n.noted {
		s.connected(incarnation, func(body []byte) bool {
			return takes && len(body) <= MaxNote && ctl.Send(control.TypeNote, control.Note{Service: s.service, Body: secure.Text(body)}) == nil
		})
	}
}

func (s *noted) connected(incarnation uint64, send func([]byte) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over && s.incarnation == incarnation { // Close was faster
		return
	}
	s.incarnation, s.over = incarnation, false
	s.notes.Connected(incarnation, send)
}

// notesEnded tells of the end of an incarnation. No lock is held.
func (n *Node) notesEnded(incarnation uint64) {
	for _, s := range n.noted {
		s.ended(incarnation)
	}
}

func (s *noted) ended(incarnation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.incarnation == incarnation && !s.over {
		s.over = true
		s.notes.Ended(incarnation)
	}
}

// handleNote passes a note on. One about another service, or that has no body that can be read, is
// ignored: it is about nothing that this node has.
func (inc *incarnation) handleNote(ctl *control.Conn, body []byte) error {
	n := inc.n
	var note control.Note
	if err := ctl.Decode(body, &note); err != nil {
		return err
	}
	i := slices.IndexFunc(n.noted, func(s *noted) bool { return s.service == note.Service })
	text, err := secure.Bytes(note.Body, MaxNote)
	if i < 0 || err != nil {
		n.cfg.WarnOften("unknown note", "ignored a note from the registry about no service with keys of this node, or without a body", "node", n.Peer())
		return nil
	}
	n.noted[i].note(inc.self.Incarnation, text)
	return nil
}

func (s *noted) note(incarnation uint64, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.incarnation == incarnation && !s.over {
		s.notes.Note(incarnation, body)
	}
}
