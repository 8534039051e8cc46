package membership

import (
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// Kind says what an effect asks for.
type Kind uint8

const (
	Send    Kind = iota // Type and Body to the member
	Probe               // dial Addr, see whether Token answers, call Probed
	Dead                // the member was declared dead: end its connection
	Left                // the member left in good order; a message to it came before
	Joined              // news: it was admitted
	Back                // news: its connection is there again
	Doubted             // news: its connection ended, Why
	Ready               // news: it was announced
	Parted              // news: it cannot reach Other, Why
	Mended              // news: it can again
	Crowded             // no room to remember that it cannot reach Other, Why; once until there is
	Rebuilt             // news: the members of an earlier registry are back, or had time enough
)

// Effect is something to be done, or news, about one life.
type Effect struct {
	Kind  Kind
	Ref   ring.Ref
	Addr  string
	Type  wire.Type
	Body  any
	Frame *[]byte // of a message that goes to many: room for its encoding, which is made once
	Token uint64
	Other ring.Ref
	Why   string
}

// Take returns what is to be done, in order, and forgets it.
func (a *Authority) Take() []Effect {
	out := a.effects
	a.effects = nil
	return out
}

func (a *Authority) emit(e Effect) { a.effects = append(a.effects, e) }

func (a *Authority) send(m *member, t wire.Type, body any) {
	a.emit(Effect{Kind: Send, Ref: m.ref(), Type: t, Body: body})
}

// Tell sends a member something of the caller's, behind what it is to be told.
func (a *Authority) Tell(ref ring.Ref, t wire.Type, body any) {
	a.emit(Effect{Kind: Send, Ref: ref, Type: t, Body: body})
}

func (a *Authority) emitEvent(k Kind, m *member, why string) {
	a.emit(Effect{Kind: k, Ref: m.ref(), Addr: m.Addr, Why: why})
}

// State is where a member stands.
type State uint8

const (
	Unknown    State = iota // it is no member
	Registered              // admitted, and in nobody's table yet
	Linking                 // it opens its links
	Active
	OutOfSight
	Leaving
)

// State says where a member stands.
func (a *Authority) State(ref ring.Ref) State {
	switch m := a.find(ref); {
	case m == nil:
		return Unknown
	case m.suspicion != nil:
		return OutOfSight
	case m.status == waiting:
		return Registered
	case m.status == linking:
		return Linking
	case m.status == leaving:
		return Leaving
	}
	return Active
}
