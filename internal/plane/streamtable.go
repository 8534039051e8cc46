package plane

// streamTable has the streams of one direction. Those with one node form a chain, one for each service that
// the two share, so there are few. What is about a node, such as its death, finds all of them.
// Rejected: a map by node and port, which cannot
// say which streams a node has.
type streamTable[S chained[S]] struct {
	byNode map[uint64]S
	n      int // streams
}

type chained[S any] interface {
	comparable
	peer() uint64 // the node at the other end
	next() *S     // where the chain's next stream stands
}

func (t *streamTable[S]) add(s S) {
	if t.byNode == nil {
		t.byNode = make(map[uint64]S)
	}
	*s.next() = t.byNode[s.peer()]
	t.byNode[s.peer()] = s
	t.n++
}

// remove takes a stream out, and reports whether it was there.
func (t *streamTable[S]) remove(s S) bool {
	var none S
	id := s.peer()
	first := t.byNode[id]
	for at := &first; *at != none; at = (*at).next() {
		if *at != s {
			continue
		}
		*at = *s.next()
		*s.next() = none
		if t.n--; first == none {
			delete(t.byNode, id)
		} else {
			t.byNode[id] = first
		}
		return true
	}
	return false
}

// of appends the streams with a node to some.
func (t *streamTable[S]) of(id uint64, some []S) []S {
	var none S
	for s := t.byNode[id]; s != none; s = *s.next() {
		some = append(some, s)
	}
	return some
}

// all lists all streams.
func (t *streamTable[S]) all() []S {
	all := make([]S, 0, t.n)
	for id := range t.byNode {
		all = t.of(id, all)
	}
	return all
}
