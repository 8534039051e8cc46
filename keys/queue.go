package keys

import (
	"cmp"
	"maps"
	"slices"
)

// queue has elements in order. What was taken is not kept.
type queue[T any] struct {
	all  []T
	head int
}

func (q *queue[T]) push(v T) { q.all = append(q.all, v) }

func (q *queue[T]) pop() (v T, ok bool) {
	if q.head == len(q.all) {
		return v, false
	}
	var zero T
	v, q.all[q.head] = q.all[q.head], zero
	if q.head++; q.head == len(q.all) {
		q.all, q.head = q.all[:0], 0
	} else if q.head > 64 && 2*q.head > len(q.all) {
		n := copy(q.all, q.all[q.head:])
		clear(q.all[n:])
		q.all, q.head = q.all[:n], 0
	}
	return v, true
}

// cut takes out some elements.
func (q *queue[T]) cut(which func(T) bool) (out []T) {
	kept := slices.DeleteFunc(q.all[q.head:], func(v T) bool {
		if which(v) {
			out = append(out, v)
			return true
		}
		return false
	})
	q.all = q.all[:q.head+len(kept)]
	return out
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
