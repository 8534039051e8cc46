package arc

import (
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

// ranges is a function on the ring that is constant on arcs. Its zero value is the zero value
// everywhere. Neighbours are never equal, so it has no more pieces than it needs.
type ranges[V comparable] struct {
	first []uint64 // where the pieces begin
	value []V
}

func (r *ranges[V]) find(p uint64) int {
	i, found := slices.BinarySearch(r.first, p)
	if !found {
		i--
	}
	return i
}

// at is the value at a point.
func (r *ranges[V]) at(p uint64) (v V) {
	if len(r.first) == 0 {
		return v
	}
	return r.value[r.find(p)]
}

// pieces is the number of arcs with a value that is not zero.
func (r *ranges[V]) pieces() (n int) {
	var zero V
	for _, v := range r.value {
		if v != zero {
			n++
		}
	}
	return n
}

// piece is the arc around a point on which the value is the same.
func (r *ranges[V]) piece(p uint64) Arc {
	if len(r.first) == 0 {
		return Ring
	}
	return r.arc(r.find(p))
}

func (r *ranges[V]) arc(i int) Arc {
	if i+1 < len(r.first) {
		return Arc{r.first[i], r.first[i+1] - 1}
	}
	return Arc{r.first[i], math.MaxUint64}
}

// within yields the pieces in an arc as they were when it was called.
func (r *ranges[V]) within(a Arc) iter.Seq2[Arc, V] {
	var zero V
	if len(r.first) == 0 {
		return func(yield func(Arc, V) bool) { yield(a, zero) }
	}
	from := r.find(a.First)
	to := r.find(a.Last) + 1
	at := ranges[V]{first: slices.Clone(r.first[from:to]), value: slices.Clone(r.value[from:to])}
	at.first[0] = a.First
	return func(yield func(Arc, V) bool) {
		for i, v := range at.value {
			piece := at.arc(i)
			piece.Last = min(piece.Last, a.Last)
			if !yield(piece, v) {
				return
			}
		}
	}
}

// update replaces each value in an arc. f is called once for each piece, and must not use r.
func (r *ranges[V]) update(a Arc, f func(V) V) {
	if len(r.first) == 0 {
		r.first, r.value = append(r.first, 0), make([]V, 1)
	}
	r.cut(a.First)
	if a.Last != math.MaxUint64 {
		r.cut(a.Last + 1)
	}
	for i := r.find(a.First); i < len(r.first) && r.first[i] <= a.Last; i++ {
		r.value[i] = f(r.value[i])
	}
	n := 1
	for i := 1; i < len(r.first); i++ {
		if r.value[i] != r.value[n-1] {
			r.first[n], r.value[n] = r.first[i], r.value[i]
			n++
		}
	}
	clear(r.value[n:])
	r.first, r.value = r.first[:n], r.value[:n]
}

// set gives all points of an arc a value.
func (r *ranges[V]) set(a Arc, v V) { r.update(a, func(V) V { return v }) }

// cut lets a piece begin at a point.
func (r *ranges[V]) cut(p uint64) {
	i := r.find(p)
	if r.first[i] != p {
		r.first = slices.Insert(r.first, i+1, p)
		r.value = slices.Insert(r.value, i+1, r.value[i])
	}
}
