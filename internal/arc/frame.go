package arc

// Kind says what a frame is.
type Kind uint8

const (
	// Grant tells an owner to pull the arc from Life under Term. Without Life it holds the arc, with
	// what it has.
	Grant Kind = iota + 1
	// Settled tells a giver that the move under Term is over: it drops its copy.
	Settled
	// Retired tells an owner that it gets no more arcs, and drops those that it still has.
	Retired
	// Retire asks the authority to take the owner's arcs.
	Retire
	// Left tells the authority that a retired owner holds nothing.
	Left
	// Took tells the authority that the receiver of a move has the state.
	Took
	// Pull asks a holder to give the arc.
	Pull
	// Give has the state of an arc in its body.
	Give
	// Ask asks for the holder of a point.
	Ask
	// Is answers Ask: the sender holds the arc under Term.
	Is
	// No answers Ask: the sender does not hold the point. Life, if it is not 0, may.
	No
	// Msg is a message to a point.
	Msg
	// Ans answers the Msg with this Seq: Refused, or handled with the reply in its body.
	Ans
	// Closed is the last word of an owner that leaves: it has answered all that it has handled, and
	// handles nothing any more.
	Closed
)

// Registry is the authority as a life that sends and gets frames.
const Registry = ^uint64(0)

// ToSource reports whether a frame is for the [Source] of its node. Others are for the [Owner].
func (k Kind) ToSource() bool { return k == Is || k == No || k == Ans || k == Closed }

// Frame is what the machines send each other. The fields that a kind does not name are zero.
type Frame struct {
	Kind    Kind
	Refused bool
	Arc     Arc
	Term    uint64
	Life    uint64 // Grant: the giver; No: a hint
	Point   uint64 // Ask, No, Msg
	Seq     uint64 // Msg, Ans
	Body    []byte // Give, Msg, Ans
}

// Held is an arc with the term that counts for it.
type Held struct {
	Arc
	Term uint64
}

// Report is the first that a life says on a connection to the registry.
type Report struct {
	Held     []Held // what it holds
	Given    []Held // what it has given, or has stopped in order to, with the term of the Pull
	Retiring bool
	Left     bool
}

// Order is an arc to pull from a life.
type Order struct {
	Held
	From uint64
}

// Orders are the authority's answer to a report, complete.
type Orders struct {
	Hold []Held
	Pull []Order
	// A Pull under a lower term, or this one, is void.
	Bar     uint64
	Latest  uint64 // the greatest term so far
	Retired bool
}
