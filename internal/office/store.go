package office

// Record is what the store has for the office.
type Record struct {
	Lease  uint64 // of the holder; 0: the office is free
	Addr   string // of the holder
	Term   Term
	Before Term   // the term before this one
	Nonce  uint64 // the state that was handed over; 0 for none
}

// Ring is what the store has for the ring.
type Ring struct {
	Identity string // empty: there is none yet
	Empty    bool   // no member can come back
}

// Snapshot is what the store has at one moment. A revision changes with each write of its key.
type Snapshot struct {
	Office    Record
	OfficeRev uint64
	Term      Term // the last one, which outlives the lease
	TermRev   uint64
	Ring      Ring
	RingRev   uint64
}

// Kind is what is asked of the store.
type Kind uint8

// The store runs each of these at one moment, or never. It may run one after [Office] has stopped
// waiting for it. All but Grant and Renew are answered with the [Snapshot] after it.
const (
	Grant   Kind = 1 + iota // a new lease
	Renew                   // Lease; not OK: it has ended
	Revoke                  // Lease; what is under it goes. No answer
	Read                    //
	Elect                   // if the office is free, the term at TermRev, and Record.Lease lives: put both
	Put                     // if the office is at OfficeRev and under Lease, and Record.Lease lives: put both
	PutRing                 // if the office is under Lease, and the ring at RingRev: put it
)

// Op is something to ask of the store.
type Op struct {
	Number    uint64 // for its answer
	Kind      Kind
	Lease     uint64
	Record    Record
	Ring      Ring
	OfficeRev uint64
	TermRev   uint64
	RingRev   uint64
}

// Answer is that of the store.
type Answer struct {
	Number   uint64
	Unknown  bool // it may have run, may run later, or never
	OK       bool
	Lease    uint64 // that was granted
	Snapshot Snapshot
}
