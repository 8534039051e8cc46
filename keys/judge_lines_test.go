package keys

// hurt notes that messages of all sources may have no known outcome.
func (b *book) hurt() {
	for s := range b.from {
		b.from[s].hurt = true
	}
}

// line is what was handled of a source's messages to a key.
type line struct {
	last    uint64 // in the order of the state that counts
	handled bits
	told    bits   // of unknown outcome
	acked   uint64 // those up to here, but for the told ones, have their answers
	hurt    bool   // since a living holder has answered, a life that had the key has ended, or has taken it
	excused uint64 // it was before the answer to this one: function calls of WithUnknown are late
	twice   int
	latest  []handling // message n is at n modulo the length
}

// handling says which life has handled a message. One that has not ended stays.
type handling struct {
	n uint64
	l *judged
}

// unsettled is more than the messages of a source to a key whose outcomes are open.
const unsettled = 512

// by returns the life that has handled a message, or nil.
func (f *line) by(n uint64) *judged {
	if f.latest == nil || f.latest[n%unsettled].n != n {
		return nil
	}
	return f.latest[n%unsettled].l
}

func (f *line) note(n uint64, l *judged) {
	if f.latest == nil {
		f.latest = make([]handling, unsettled)
	}
	if before := f.by(n); before == nil || before.over {
		f.latest[n%unsettled] = handling{n, l}
	}
}

// bits is a set of numbers.
type bits []uint64

func (b bits) has(n uint64) bool { return n/64 < uint64(len(b)) && b[n/64]>>(n%64)&1 != 0 }

func (b *bits) add(n uint64) {
	for uint64(len(*b)) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}
