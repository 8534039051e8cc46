package broadcast

// published are a node's own messages that are not confirmed yet.
type published struct {
	lo, next uint64 // the numbers of log; next is that of the next message
	log      [][]byte
	bytes    int
	round    *duty   // asks all whether they have what was published; at most one
	settling []*duty // questions of others, see Settle
}

// Room reports whether a message of this length may be published now.
func (n *Node) Room(length int) bool {
	return n.standing && len(n.own.log) < maxLog && (n.own.bytes+length <= maxLogBytes || len(n.own.log) == 0)
}

// Publish sends a message to all other members, and returns its number. It copies the body. The
// caller has looked whether there is [Node.Room].
func (n *Node) Publish(body []byte) (number uint64) {
	o := &n.own
	number = o.next
	o.next++
	body = append([]byte(nil), body...)
	o.log = append(o.log, body)
	o.bytes += len(body)
	f := Frame{Kind: Data, Origin: n.self, Number: number, Lo: o.lo, Body: body}
	var d *duty
	if o.round == nil {
		d = n.newRound()
	}
	n.spreadAll(d, f)
	return number
}

func (n *Node) newRound() *duty {
	n.own.round = &duty{kind: Sync, origin: n.self, upTo: n.own.next - 1, epoch: n.latestJoin}
	return n.own.round
}

// confirmed ends the round: all members have what it asked for. If there is more by now, the next
// round begins.
func (n *Node) confirmed(round *duty) {
	o := &n.own
	for o.lo <= round.upTo {
		o.bytes -= len(o.log[0])
		o.log[0] = nil
		o.log = o.log[1:]
		o.lo++
	}
	o.round = nil
	n.out.Confirmed(round.upTo)
	settling := o.settling
	o.settling = nil
	for _, d := range settling {
		d.waits = d.upTo >= o.lo
		if d.waits {
			o.settling = append(o.settling, d)
		}
		n.settle(d)
	}
	if o.lo < o.next {
		d := n.newRound()
		f := d.frame()
		f.Lo = o.lo
		n.spreadAll(d, f)
	}
}

// repair sends a member what it lacks.
func (n *Node) repair(to uint64, f Frame) {
	o := &n.own
	if f.Origin != n.self {
		return
	}
	if f.Number < o.lo { // all members of the time had it, and this was none
		n.out.Send(to, Frame{Kind: Sync, Origin: n.self, Number: f.Number, Lo: o.lo, Limit: to})
	}
	for i := max(f.Number, o.lo); i <= f.Last && i < o.next; i++ {
		n.Repaired++
		n.out.Send(to, Frame{Kind: Data, Origin: n.self, Number: i, Lo: o.lo, Limit: to, Body: o.log[i-o.lo]})
	}
}
