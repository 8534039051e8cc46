package membership

import (
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// Kind says what an [Effect] asks for or reports.
type Kind uint8

const (
	Send        Kind = iota // send Type and Body to the member
	Probe                   // dial Addr, see whether Token answers, and call Probed
	Dead                    // the member was declared dead: end its connection
	Left                    // the member left in good order; a message to it came before this
	Joined                  // event: it was admitted
	Back                    // event: its connection is back
	Suspected               // event: its connection ended, it is a suspect; Why
	Ready                   // event: it was announced
	Unreachable             // event: it cannot reach Other; Why
	Healed                  // event: it can reach Other again
	PairsFull               // event: there is no room to remember that it cannot reach Other; Why. Once until there is
	OverFull                // there is no room to remember an incarnation that is over. Once in a recovery
	Rebuilt                 // event: the recovery has ended
	Founded                 // event: the ring has become live for its first member; Why
	LeftOut                 // event: nothing waits for it any more; Why
	CountsAgain             // event: it makes progress again
	LedAround               // event: it passes nothing on, so it is a stub; Why
	Relays                  // event: it is no stub any more; Why
)

// Effect is something to do, or an event to report, about one incarnation.
type Effect struct {
	Kind  Kind
	Ref   ring.Ref
	Addr  string
	Name  string // of the member, in an event
	Type  wire.Type
	Body  any
	Frame *[]byte // of a message to many members: holds its encoding, which is made once
	Token uint64
	Other ring.Ref
	Why   string
}

// Take returns the effects since the last call, in order.
func (a *Authority) Take() []Effect {
	out := a.effects
	a.effects = nil
	return out
}

func (a *Authority) emit(e Effect) { a.effects = append(a.effects, e) }

func (a *Authority) send(m *member, t wire.Type, body any) {
	a.emit(Effect{Kind: Send, Ref: m.Ref(), Type: t, Body: body})
}

// Tell queues a message of the caller's for a member, behind the messages that are queued.
func (a *Authority) Tell(ref ring.Ref, t wire.Type, body any) {
	a.emit(Effect{Kind: Send, Ref: ref, Type: t, Body: body})
}

func (a *Authority) emitEvent(k Kind, m *member, why string) {
	a.emit(Effect{Kind: k, Ref: m.Ref(), Addr: m.Addr, Name: m.info.NameOf(), Why: why})
}

// State is the state of a member.
type State uint8

const (
	Unknown    State = iota // not a member
	Registered              // admitted, and in no table yet
	Linking                 // it opens its links
	Active
	Suspect // suspect: its connection has ended
	Leaving
	Stuck // it is left out
)

// State is the state of a member.
func (a *Authority) State(ref ring.Ref) State {
	switch m := a.find(ref); {
	case m == nil:
		return Unknown
	case m.suspicion != nil:
		return Suspect
	case m.leftOut != "" && m.status != leaving:
		return Stuck
	case m.status == waiting:
		return Registered
	case m.status == linking:
		return Linking
	case m.status == leaving || m.unlisting:
		return Leaving
	}
	return Active
}
