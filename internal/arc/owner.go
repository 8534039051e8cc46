package arc

// What an owner keeps at most.
const (
	maxParked = 4096    // asks that wait for a receiver: the answer is No
	maxQueued = 1 << 16 // messages that are not handled: [Owner.Room] says no
)

// OwnerOutput takes what an owner does. Its methods must not call the owner.
type OwnerOutput interface {
	// Send sends a frame to a life: in order, and exactly once while both live.
	Send(to uint64, f Frame)
	// Tell sends a frame to the authority. Without a connection it may be dropped.
	Tell(f Frame)
	// Handle starts the handler of a message. [Owner.Handled] says when it has returned.
	Handle(m Message)
	// Give reads the state of an arc, which does not change. [Owner.Gave] has it.
	Give(op uint64, arc Arc)
	// Take takes the state of an arc from what was given for a larger one, or of a new one if given is
	// nil. [Owner.TookState] says when that is done. If it fails nothing of it is left.
	Take(op uint64, arc Arc, given []byte)
	// Resume says that what was given is this owner's again, as it was.
	Resume(arc Arc)
	// Drop says that the state of an arc is another's, or lost.
	Drop(arc Arc, lost bool)
	// Left says that a retired owner holds nothing any more.
	Left()
	// Over says that this life is over: another life has what it holds.
	Over()
}

// Message is a message that an owner handles.
type Message struct {
	Source, Seq, Point, Term uint64
	Body                     []byte
}

// phase is what an owner does with a point.
type phase uint8

const (
	none     phase = iota
	wanted         // it has or takes the state, and does not handle yet
	held           // it handles
	stopping       // it handles no more, for a receiver; handlers may run
	copied         // it has given, and keeps the state as it was
	ending         // it handles no more, and drops the state
)

// piece is an owner's state of a point.
type piece struct {
	phase  phase
	term   uint64 // wanted, held: its own; stopping, copied: the receiver's
	peer   uint64 // wanted: the giver; stopping, copied: the receiver
	op     uint64 // the operation that runs
	stale  bool   // op is for nothing any more
	failed bool   // the last one has failed: see Retry
	has    bool   // wanted: the state is here
	resume bool   // wanted: it was given, and is no copy any more
}

// Owner is the state of a life that offers to hold arcs. It is not safe for concurrent use.
type Owner struct {
	out      OwnerOutput
	arcs     ranges[piece]
	pulls    ranges[pull] // that wait until this life holds
	bar      uint64
	latest   uint64 // the greatest term of a frame from the authority
	frozen   bool   // from Report to Orders
	retiring bool
	retired  bool
	left     bool

	queues map[uint64][]Message // by point; the handler of the first one runs
	queued int
	parked []ask

	lastOp uint64
	ops    map[uint64]Arc // operations that run, and what they were for

	Refusals, Parked uint64 // counters
}

type pull struct{ from, term uint64 }

type ask struct{ from, point uint64 }

// NewOwner returns the state of a life that holds nothing. Its node reports it to the authority.
func NewOwner(out OwnerOutput) *Owner {
	return &Owner{out: out, frozen: true, queues: map[uint64][]Message{}, ops: map[uint64]Arc{}}
}

// Holds returns the term under which this life handles messages to a point.
func (o *Owner) Holds(point uint64) (term uint64, holds bool) {
	p := o.arcs.at(point)
	return p.term, p.phase == held
}

// Stopping reports whether a move waits for the handler at a point.
func (o *Owner) Stopping(point uint64) bool {
	p := o.arcs.at(point)
	return p.phase == stopping || p.phase == ending
}

// Room reports whether the node should hand over messages.
func (o *Owner) Room() bool { return o.queued < maxQueued }

// Retire asks the authority to take this owner's arcs. [OwnerOutput].Left follows.
func (o *Owner) Retire() {
	o.retiring = true
	o.out.Tell(Frame{Kind: Retire})
}

// Handle takes a frame of a life, or of the authority. The body stays with the owner.
func (o *Owner) Handle(from uint64, f Frame) {
	if from == Registry {
		o.order(f)
		return
	}
	switch f.Kind {
	case Pull:
		o.pull(from, f.Arc, f.Term)
	case Give:
		o.take(from, f)
	case Ask:
		o.ask(from, f.Point)
	case Msg:
		o.message(Message{from, f.Seq, f.Point, f.Term, f.Body})
	}
	o.advance(f.Arc)
}

// order takes a frame of the authority.
func (o *Owner) order(f Frame) {
	o.latest = max(o.latest, f.Term)
	switch f.Kind {
	case Grant:
		o.grant(f.Arc, f.Term, f.Life)
	case Settled:
		o.settled(f.Arc, f.Term)
	case Retired:
		o.retire()
	}
	o.advance(f.Arc)
}

// Gone takes the end of a life. What it has given or was to receive the authority decides.
func (o *Owner) Gone(life uint64) {
	o.pulls.update(Ring, func(w pull) pull {
		if w.from == life {
			return pull{}
		}
		return w
	})
	kept := o.parked[:0]
	for _, a := range o.parked {
		if a.from != life {
			kept = append(kept, a)
		}
	}
	o.parked = kept
}
