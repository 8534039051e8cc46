package memnet

import (
	"encoding/binary"
	"hash/fnv"
	"math/bits"
	"time"
)

// Luck is what the seed decides: whether a Write is lost, and how much of the jitter it takes.
// It is drawn anew for each Write, from the seed, the names of the two hosts, the connection's
// number between them, the direction and the Write's number in it, and from nothing else. So no
// other connection, no port and no earlier fault changes it, as with a generator per network or
// per pair of addresses.

// directionSeed is the seed of one direction of a connection: the nth, from 0, that the host from has
// dialled to the host to; back is the direction to the dialler.
func directionSeed(seed uint64, from, to string, nth uint64, back bool) uint64 {
	b := binary.BigEndian.AppendUint64(nil, seed)
	b = binary.BigEndian.AppendUint64(b, uint64(len(from)))
	b = append(append(b, from...), to...)
	h := fnv.New64a()
	h.Write(b)
	luck := mix(h.Sum64()) + nth
	luck = mix(luck) << 1
	if back {
		luck++
	}
	return mix(luck)
}

// mix is the finalizer of SplitMix64: each bit of x changes half of the result's.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// draw draws that of the nth Write. It is lost with a probability of drop, and late by delay and a part of
// the jitter.
func (h *half) draw(nth uint64) (lost bool, late time.Duration) {
	x := mix(h.seed + nth*0x9e3779b97f4a7c15)
	lost = float64(x>>11)/(1<<53) < h.drop
	late = h.delay
	if h.jitter > 0 {
		part, _ := bits.Mul64(mix(x+1), uint64(h.jitter))
		late += time.Duration(part)
	}
	return lost, late
}

// drawNext counts a Write, or an ending, and returns its fate; it needs mu.
func (h *half) drawNext() (lost bool, late time.Duration) {
	nth := h.writes
	h.writes++
	return h.draw(nth)
}
