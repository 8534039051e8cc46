package node

// Messages and relays belong to a run by their port, and a port is used again 128 runs later.
// What an earlier run has left under a port must not count in the run that uses it next. A run
// whose registry died is never collected, and messages of a node that was lost may arrive
// after the account. So when a node hears of a run, by its Task or its Collect, it forgets what
// it has of all others. It keeps what it has of that run, since other nodes may have started
// earlier.

// trafficPort is the port of a run's messages. It tells them from messages that may still be
// under way from a node that was lost in an earlier run.
func trafficPort(run uint64) uint8 { return portTraffic | uint8(run&0x7f) }

// forgetOtherRuns forgets all runs but this one. It needs mu.
func (t *traffic) forgetOtherRuns(run uint64) {
	port := trafficPort(run)
	t.inc.plane.ForgetRelays(port)
	t.ledger.Load().keepOnly(port)
}

// keepOnly drops what is of other runs than the one with this port.
func (l *ledger) keepOnly(port uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress, l.outcome = progress{}, nil
	for from, c := range l.sources {
		if from.port != port {
			c.stale.Store(true)
			delete(l.sources, from)
		}
	}
	for to := range l.undelivered {
		if to.port != port {
			delete(l.undelivered, to)
		}
	}
}
