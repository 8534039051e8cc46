package arc

import (
	"cmp"
	"iter"
	"math"
	"slices"
)

// Arc is the points from First to Last, with both. First is not greater than Last: an interval over
// zero is two arcs.
type Arc struct{ First, Last uint64 }

// Ring is all points.
var Ring = Arc{0, math.MaxUint64}

// Has reports whether a point is in the arc.
func (a Arc) Has(p uint64) bool { return a.First <= p && p <= a.Last }

// before reports whether b begins where a ends.
func (a Arc) before(b Arc) bool { return a.Last != math.MaxUint64 && a.Last+1 == b.First }

// chunkSize is how many pieces a chunk has at most. A change moves a part of one chunk. Tests lower it.
var chunkSize = 256

// ranges is a function on the ring that is constant on arcs. Its zero value is the zero value
// everywhere. Neighbours are never equal, so it has no more pieces than it needs.
type ranges[V comparable] struct {
	chunks []chunk[V] // in order; none is empty
}

// chunk is pieces in a row.
type chunk[V comparable] struct {
	first []uint64 // where they begin
	value []V
}

// find returns the chunk and the piece that a point is in.
func (r *ranges[V]) find(p uint64) (c, i int) {
	c, found := slices.BinarySearchFunc(r.chunks, p, func(c chunk[V], p uint64) int { return cmp.Compare(c.first[0], p) })
	if found {
		return c, 0
	}
	c--
	i, found = slices.BinarySearch(r.chunks[c].first, p)
	if !found {
		i--
	}
	return c, i
}

// at is the value at a point.
func (r *ranges[V]) at(p uint64) (v V) {
	if len(r.chunks) == 0 {
		return v
	}
	c, i := r.find(p)
	return r.chunks[c].value[i]
}

// size is the number of pieces, those with a zero value too.
func (r *ranges[V]) size() (n int) {
	for _, c := range r.chunks {
		n += len(c.first)
	}
	return n
}

// zero reports whether the value is zero everywhere.
func (r *ranges[V]) zero() bool {
	var zero V
	return len(r.chunks) == 0 || len(r.chunks) == 1 && len(r.chunks[0].value) == 1 && r.chunks[0].value[0] == zero
}

// piece is the arc around a point on which the value is the same.
func (r *ranges[V]) piece(p uint64) Arc {
	if len(r.chunks) == 0 {
		return Ring
	}
	return r.arc(r.find(p))
}

func (r *ranges[V]) arc(c, i int) Arc {
	first := r.chunks[c].first
	switch {
	case i+1 < len(first):
		return Arc{first[i], first[i+1] - 1}
	case c+1 < len(r.chunks):
		return Arc{first[i], r.chunks[c+1].first[0] - 1}
	}
	return Arc{first[i], math.MaxUint64}
}

// walk yields the pieces in an arc. The loop must not change r.
func (r *ranges[V]) walk(a Arc) iter.Seq2[Arc, V] {
	return func(yield func(Arc, V) bool) {
		if len(r.chunks) == 0 {
			var zero V
			yield(a, zero)
			return
		}
		c, i := r.find(a.First)
		for ; c < len(r.chunks); c, i = c+1, 0 {
			for ; i < len(r.chunks[c].first); i++ {
				piece := r.arc(c, i)
				if piece.First > a.Last {
					return
				}
				piece = Arc{max(piece.First, a.First), min(piece.Last, a.Last)}
				if !yield(piece, r.chunks[c].value[i]) {
					return
				}
			}
		}
	}
}

// within yields the pieces in an arc as they were when it was called.
func (r *ranges[V]) within(a Arc) iter.Seq2[Arc, V] {
	type piece struct {
		Arc
		value V
	}
	var all []piece
	for arc, v := range r.walk(a) {
		all = append(all, piece{arc, v})
	}
	return func(yield func(Arc, V) bool) {
		for _, p := range all {
			if !yield(p.Arc, p.value) {
				return
			}
		}
	}
}

// update replaces each value in an arc. f is called once for each piece, and must not use r.
func (r *ranges[V]) update(a Arc, f func(V) V) {
	if len(r.chunks) == 0 {
		r.chunks = []chunk[V]{{make([]uint64, 1), make([]V, 1)}}
	}
	r.cut(a.First)
	if a.Last != math.MaxUint64 {
		r.cut(a.Last + 1)
	}
	c, i := r.find(a.First)
	from, equal := c, false
	var before V
	switch {
	case i > 0:
		before = r.chunks[c].value[i-1]
	case c > 0:
		before = r.chunks[c-1].last()
	}
	for ; c < len(r.chunks); c, i = c+1, 0 {
		for ; i < len(r.chunks[c].first); i++ {
			v := &r.chunks[c].value[i]
			in := r.chunks[c].first[i] <= a.Last
			if in {
				*v = f(*v)
			}
			equal = equal || *v == before && r.chunks[c].first[i] != 0
			if before = *v; !in {
				if equal {
					r.tidy(max(0, from-1), c)
				}
				return
			}
		}
	}
	if equal {
		r.tidy(max(0, from-1), len(r.chunks)-1)
	}
}

// tidy joins neighbours that are equal, in some chunks and at their borders, and then small chunks.
func (r *ranges[V]) tidy(from, to int) {
	n := from // chunks up to it are done
	for c := from; c <= to; c++ {
		at := &r.chunks[c]
		kept := 0
		for i, v := range at.value {
			switch {
			case i > 0 && kept > 0 && v == at.value[kept-1]:
				continue
			case kept == 0 && c > from && v == r.chunks[n].last():
				continue
			}
			at.first[kept], at.value[kept] = at.first[i], v
			kept++
		}
		clear(at.value[kept:])
		at.first, at.value = at.first[:kept], at.value[:kept]
		if c == from || kept == 0 {
			continue
		}
		if before := &r.chunks[n]; len(before.first)+kept <= chunkSize/2 {
			before.first, before.value = append(before.first, at.first...), append(before.value, at.value...)
			continue
		}
		n++
		r.chunks[n] = *at
	}
	r.chunks = slices.Delete(r.chunks, n+1, to+1)
}

func (c *chunk[V]) last() V { return c.value[len(c.value)-1] }

// set gives all points of an arc a value.
func (r *ranges[V]) set(a Arc, v V) { r.update(a, func(V) V { return v }) }

// cut lets a piece begin at a point.
func (r *ranges[V]) cut(p uint64) {
	n, i := r.find(p)
	c := &r.chunks[n]
	if c.first[i] == p {
		return
	}
	c.first = slices.Insert(c.first, i+1, p)
	c.value = slices.Insert(c.value, i+1, c.value[i])
	if half := len(c.first) / 2; len(c.first) > chunkSize {
		next := chunk[V]{slices.Clone(c.first[half:]), slices.Clone(c.value[half:])}
		clear(c.value[half:])
		c.first, c.value = c.first[:half], c.value[:half]
		r.chunks = slices.Insert(r.chunks, n+1, next)
	}
}
