package memnet

import (
	"encoding/binary"
	"hash/fnv"
	"math/bits"
	"time"
)

// The network's seed decides for each Write whether it is lost, and how much of the jitter it
// takes. The only other inputs are the names of the two hosts, the number of the connection
// between them, the direction, and the number of the Write in it. Rejected: a generator for each
// network, or for each pair of addresses. Other connections, ports and earlier faults would
// change its results.

// directionSeed returns the seed of one direction of a connection. It is the nth connection,
// from 0, that the host from has dialled to the host to; back is the direction to the dialler.
func directionSeed(seed uint64, from, to string, nth uint64, back bool) uint64 {
	b := binary.BigEndian.AppendUint64(nil, seed)
	b = binary.BigEndian.AppendUint64(b, uint64(len(from)))
	b = append(append(b, from...), to...)
	h := fnv.New64a()
	h.Write(b)
	dir := mix(h.Sum64()) + nth
	dir = mix(dir) << 1
	if back {
		dir++
	}
	return mix(dir)
}

// mix is the finalizer of SplitMix64: each bit of x changes half of the result's.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// draw returns the fate of the nth Write: it is lost with probability drop, and late by delay
// and a part of jitter.
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

// drawNext counts a Write or an ending, and returns its fate. It requires mu.
func (h *half) drawNext() (lost bool, late time.Duration) {
	nth := h.writes
	h.writes++
	return h.draw(nth)
}
