package office

// handOver is one under way. Nothing is decided until it ends: the state that was sent is the latest.
type handOver struct {
	to     string
	nonce  uint64
	since  Clocks
	lease  uint64 // of the successor, which has confirmed the state; 0 before
	unsure bool   // the transaction may have run, or may still run
}

// HandOver begins to hand the office over to a standby. It returns false if this is not the time.
func (o *Office) HandOver(now Clocks, to string) bool {
	if !o.MayDecide(now) || o.above >= o.term || !o.RingKept() {
		return false
	}
	o.hand = &handOver{to: to, nonce: max(1, o.Draw()), since: now}
	o.out.SendState(to, o.hand.nonce)
	return true
}

// Receive takes the nonce of a state, as a standby. It returns its lease for the confirmation, or 0
// if it does not stand.
func (o *Office) Receive(now Clocks, nonce uint64) (lease uint64) {
	if o.holding || !o.inTime(now) {
		return 0
	}
	o.held = nonce
	return o.lease
}

// Confirmed takes a standby's confirmation. One of another hand-over is ignored.
func (o *Office) Confirmed(now Clocks, nonce, lease uint64) {
	if h := o.hand; h != nil && h.nonce == nonce && h.lease == 0 {
		h.lease = lease
		o.next(now)
	}
}

// awaitConfirmation gives a hand-over up that is not confirmed.
func (o *Office) awaitConfirmation(now Clocks) {
	if h := o.hand; h != nil && h.lease == 0 && now.Since(h.since) > o.TTL/2 {
		o.hand = nil
		o.out.GoesOn("the standby has not confirmed the state")
	}
}

// confirmed takes an answer that shows this registry in office. A hand-over that was refused will
// not happen. One of unknown outcome will not happen either once a raise has succeeded: it was for the
// revision before. A Read would not prove that.
func (o *Office) confirmed(op Op, ok bool) {
	h := o.hand
	if h == nil || op.Kind != Put || h.lease == 0 {
		return
	}
	if raised := op.Record.Lease == o.lease; raised == ok {
		o.hand = nil
		o.out.GoesOn("the store has not taken the hand-over")
	}
}
