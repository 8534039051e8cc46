package office

import (
	"slices"
	"time"
)

// MaxAddrs bounds the addresses that a node knows.
const MaxAddrs = 16

// Knock is the next question.
type Knock struct {
	Addr    string
	At      time.Duration // not before
	Timeout time.Duration // for the whole answer
}

// Finder looks for the holder, at a node's side.
type Finder struct {
	Lease time.Duration
	Pause func(most time.Duration) time.Duration // a random part of it

	addrs []string
	place int    // of the next address
	round int    // how many addresses were asked since the last pause
	side  string // the holder, as a standby has said; the next knock goes there
	aside bool   // this knock does
	at    string // this knock's address
}

// NewFinder begins with the addresses that the program was given.
func NewFinder(addrs []string, lease time.Duration, pause func(time.Duration) time.Duration) *Finder {
	return &Finder{Lease: lease, Pause: pause, addrs: slices.Clone(addrs[:min(len(addrs), MaxAddrs)])}
}

// Learn adds addresses that a holder has told.
func (f *Finder) Learn(addrs []string) {
	for _, a := range addrs {
		if len(f.addrs) < MaxAddrs && !slices.Contains(f.addrs, a) {
			f.addrs = append(f.addrs, a)
		}
	}
}

// Lost begins to look, after the holder was lost. A Bye may name its successor.
func (f *Finder) Lost(successor string) { f.side, f.aside, f.round = successor, false, 0 }

// Next is the next knock. A whole round takes at most three quarters of a lease, and then a pause
// of up to a half. So two rounds and the pause fit a grace.
func (f *Finder) Next(now time.Duration) Knock {
	k := Knock{At: now, Timeout: f.Lease * 3 / 4 / time.Duration(max(3, len(f.addrs)))}
	if f.side != "" {
		k.Addr, f.side, f.aside, f.at = f.side, "", true, f.side
		return k
	}
	if f.round >= len(f.addrs) {
		f.round = 0
		k.At += f.Pause(f.Lease / 2)
	}
	f.aside = false
	f.at = f.addrs[f.place%len(f.addrs)]
	f.place, f.round = (f.place+1)%len(f.addrs), f.round+1
	k.Addr = f.at
	return k
}

// Redirected follows a standby's word, once: the trip does not move the place in the list. Else two
// standbys that name each other would keep the node from the third.
func (f *Finder) Redirected(holder string) {
	if !f.aside && holder != f.at {
		f.side = holder
	}
}

// Waits comes back to the same address, after a quarter of a lease: it is the holder, and not ready.
func (f *Finder) Waits(now time.Duration) Knock {
	return Knock{Addr: f.at, At: now + f.Lease/4, Timeout: f.Lease / 4}
}

// Forsaking decides when a node gives up its ring: for so long registries of other rings have
// answered, and none of its own.
type Forsaking struct {
	After time.Duration // WithForsake

	counted, last time.Duration
}

// Other notes an answer of another ring, and reports whether the node must give up its own. A pause
// counts for two leases at most: an outage says nothing about rings.
func (f *Forsaking) Other(now, lease time.Duration) bool {
	if f.last > 0 {
		f.counted += min(now-f.last, 2*lease)
	}
	f.last = now
	return f.counted >= f.After
}

// Own notes an answer of a registry of the own ring, a standby too.
func (f *Forsaking) Own() { f.counted, f.last = 0, 0 }

// Taken is what a node has taken from holders.
type Taken struct{ Epoch, Life uint64 }

// Takes says whether a table is newer than all before it. Since the high half is the term, this keeps
// off a holder that was deposed.
func (t *Taken) Takes(epoch uint64) bool { return epoch > t.Epoch }

// Accepts says whether a holder may take the node in: one of a lower term is deposed, or must raise its
// own first.
func (t *Taken) Accepts(holder Term) bool { return holder >= max(TermOf(t.Epoch), TermOf(t.Life)) }
