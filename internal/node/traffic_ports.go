package node

// Messages and relays belong to a run by its port, and a port is used again 128 runs
// later. What an earlier run has left under a port must not count in the one that uses it
// next: a run whose registry died is never collected, and messages of a node that was
// Undelivered may arrive after the account. So whenever the node hears of a run, by its Task or
// its Collect, it forgets what it has of all others. What it has of that run stays: other
// nodes may have started earlier.

// forgetOtherRuns forgets what is not of a run. It needs mu.
func (t *traffic) forgetOtherRuns(run uint64) {
	port := trafficPort(run)
	t.inc.plane.ForgetRelays(port)
	t.ledger.Load().keepOnly(port)
}

// keepOnly drops what is of other runs than the one with this port.
func (l *ledger) keepOnly(but uint8) {
	l.sent.Store(0)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcome = nil
	for at, c := range l.sources {
		if at.port != but {
			c.stale.Store(true)
			delete(l.sources, at)
		}
	}
	for at := range l.undelivered {
		if at.port != but {
			delete(l.undelivered, at)
		}
	}
}
