package arc

import (
	"encoding/binary"
	"fmt"
)

// What the notes between a node and the registry have at most.
const (
	MaxNote      = 64 << 10 // bytes of a part of a report, or of orders
	MaxPositions = 256      // of an owner
	maxPieces    = 1 << 18  // arcs in a report, or in orders; of pulls that wait at an owner
)

// NoteKind says what is complete after a note.
type NoteKind uint8

const (
	// NotePart is nothing yet: more parts follow.
	NotePart NoteKind = iota
	// NoteFrame is a frame.
	NoteFrame
	// NoteReport is a report.
	NoteReport
	// NoteOrders are orders.
	NoteOrders
)

// Note is what a note, or several, have said.
type Note struct {
	Kind      NoteKind
	Frame     Frame
	Positions int  // of the member that reports
	Offers    bool // it offers to hold arcs
	Report    Report
	Orders    Orders
}

// Member is the life that reports. Its node is at this place on the ring.
func (n Note) Member(life, at uint64) Member {
	if !n.Offers {
		return Member{Life: life}
	}
	return Member{life, Positions(at, n.Positions)}
}

// A note begins with its kind. A part has flags behind it, then what only the first part has, then a
// number of arcs, these arcs, and others up to its end.
//
//	frame    the frame
//	report   flags, first: positions (uvarint); number (uvarint) × held; given …
//	orders   flags, first: bar, latest; number (uvarint) × hold; pull, from …
const (
	flagFirst byte = 1 << iota
	flagLast
	flagOffers   // report
	flagRetiring // report; orders: retired
	flagLeft     // report
)

// AppendNote appends a note with a frame.
func AppendNote(b []byte, f Frame) []byte { return f.Append(append(b, byte(NoteFrame))) }

// ReportNotes are the notes of a report.
func ReportNotes(positions int, offers bool, r Report) (notes [][]byte) {
	flags := bit(offers, flagOffers) | bit(r.Retiring, flagRetiring) | bit(r.Left, flagLeft)
	head := binary.AppendUvarint(nil, uint64(positions))
	return parts(NoteReport, flags, head, len(r.Held), len(r.Given), 3*8, func(b []byte, i int) []byte {
		if i < len(r.Held) {
			return appendHeld(b, r.Held[i])
		}
		return appendHeld(b, r.Given[i-len(r.Held)])
	})
}

// OrdersNotes are the notes of orders.
func OrdersNotes(o Orders) (notes [][]byte) {
	head := number(number(nil, o.Bar), o.Latest)
	return parts(NoteOrders, bit(o.Retired, flagRetiring), head, len(o.Hold), len(o.Pull), 4*8, func(b []byte, i int) []byte {
		if i < len(o.Hold) {
			return appendHeld(b, o.Hold[i])
		}
		w := o.Pull[i-len(o.Hold)]
		return number(appendHeld(b, w.Held), w.From)
	})
}

// parts cuts two lists into notes.
func parts(kind NoteKind, flags byte, head []byte, first, second, size int, item func(b []byte, i int) []byte) (notes [][]byte) {
	most := (MaxNote - 32) / size
	for at, all := 0, first+second; ; at += most {
		to := min(at+most, all)
		b := make([]byte, 0, 32+(to-at)*size)
		b = append(b, byte(kind), flags|bit(at == 0, flagFirst)|bit(to == all, flagLast))
		if at == 0 {
			b = append(b, head...)
		}
		b = binary.AppendUvarint(b, uint64(max(0, min(to, first)-at)))
		for i := at; i < to; i++ {
			b = item(b, i)
		}
		if notes = append(notes, b); to == all {
			return notes
		}
	}
}

// NoteReader puts parts together. It is for one direction of one connection.
type NoteReader struct {
	part   Note // while its last part has not come, with its kind
	flags  byte
	pieces int
}

// Read reads a note. A frame's body is a part of b; all else is not. With [ErrKind] it says nothing
// that this version knows. After another error the connection is of no use.
func (r *NoteReader) Read(b []byte) (Note, error) {
	p := parser{b: b}
	var err error
	switch kind := NoteKind(p.byte()); {
	case p.err != nil:
		err = p.err
	case kind == NoteFrame:
		f, err := ParseFrame(p.b)
		if err != nil {
			return Note{}, err
		}
		return Note{Kind: NoteFrame, Frame: f}, nil
	case kind != NoteReport && kind != NoteOrders:
		return Note{}, fmt.Errorf("a note of kind %d: %w", kind, ErrKind)
	case len(b) > MaxNote:
		err = errLong
	default:
		err = r.read(kind, &p)
	}
	if err != nil {
		*r = NoteReader{}
		return Note{}, fmt.Errorf("a note: %w", err)
	}
	if r.flags&flagLast == 0 {
		return Note{}, nil
	}
	note := r.part
	*r = NoteReader{}
	return note, nil
}

// read reads a part.
func (r *NoteReader) read(kind NoteKind, p *parser) error {
	flags := p.byte()
	first := flags&flagFirst != 0
	same := flagOffers | flagRetiring | flagLeft
	known := flagFirst | flagLast | flagRetiring
	if kind == NoteReport {
		known |= same
	}
	switch {
	case flags&^known != 0, first != (r.part.Kind == NotePart),
		!first && (kind != r.part.Kind || flags&same != r.flags&same):
		return errValue
	case first && kind == NoteReport:
		positions := p.uvarint()
		if positions > MaxPositions {
			return errValue
		}
		r.part.Positions, r.part.Offers = int(positions), flags&flagOffers != 0
		r.part.Report.Retiring, r.part.Report.Left = flags&flagRetiring != 0, flags&flagLeft != 0
	case first:
		r.part.Orders = Orders{Bar: p.number(), Latest: p.number(), Retired: flags&flagRetiring != 0}
	}
	r.part.Kind, r.flags = kind, flags
	n := p.uvarint()
	if n > uint64(len(p.b)/(3*8)) {
		return errValue
	}
	for i := uint64(0); p.err == nil && (i < n || len(p.b) > 0); i++ {
		arc, term := p.held()
		if r.pieces++; r.pieces > maxPieces {
			return errLong
		}
		h := Held{arc, term}
		report, orders := &r.part.Report, &r.part.Orders
		switch {
		case kind == NoteReport && i < n && report.Given == nil:
			report.Held = append(report.Held, h)
		case kind == NoteReport && i >= n:
			report.Given = append(report.Given, h)
		case kind == NoteOrders && i < n && orders.Pull == nil:
			orders.Hold = append(orders.Hold, h)
		case kind == NoteOrders && i >= n:
			orders.Pull = append(orders.Pull, Order{h, p.number()})
		default: // the first list after the second has begun
			return errValue
		}
	}
	return p.err
}
