package ring

import (
	"cmp"
	"errors"
	"slices"
)

// Ref names one incarnation of a node. It is also a part of control messages.
type Ref struct {
	ID          uint64 `json:"id"`
	Incarnation uint64 `json:"inc"`
}

// Peer is a Ref with the address to dial. It is also a part of control messages.
type Peer struct {
	ID          uint64 `json:"id"`
	Incarnation uint64 `json:"inc"`
	Addr        string `json:"addr"`
}

// Ref names the incarnation of the peer.
func (p Peer) Ref() Ref { return Ref{p.ID, p.Incarnation} }

// Member is a peer that is in the ring.
type Member struct {
	Peer
	Traffic bool // its program takes part in traffic runs
}

// Why a member is refused.
var (
	ErrFull      = errors.New("every ID is taken")
	ErrAddrTaken = errors.New("address is registered already")
	ErrIDTaken   = errors.New("ID is taken")
	ErrOutside   = errors.New("ID is outside the space")
)

// Members is the membership, ordered by ID. It is not safe for concurrent use.
type Members struct {
	mask   uint64
	sorted []Member
	byAddr map[string]uint64
}

// NewMembers returns the empty membership of a space of 2^bits IDs.
func NewMembers(bits int) *Members {
	return &Members{mask: Mask(bits), byAddr: make(map[string]uint64)}
}

// Len is the number of members.
func (m *Members) Len() int { return len(m.sorted) }

// All returns a copy of the members, by ascending ID.
func (m *Members) All() []Member { return slices.Clone(m.sorted) }

// Get finds the member with an ID.
func (m *Members) Get(id uint64) (Member, bool) {
	i, ok := m.find(id)
	if !ok {
		return Member{}, false
	}
	return m.sorted[i], true
}

// HolderOf finds the ID of the member that holds an address.
func (m *Members) HolderOf(addr string) (id uint64, ok bool) {
	id, ok = m.byAddr[addr]
	return id, ok
}

// Add admits a member under an ID drawn with random, which returns a number below n
// (n = 0 means 2^64). Every free ID is equally likely, however full the ring is. Drawing
// until a free ID comes up was rejected: it takes for ever in a ring that is nearly full.
func (m *Members) Add(addr string, inc uint64, traffic bool, random func(n uint64) uint64) (Member, error) {
	if _, taken := m.byAddr[addr]; taken {
		return Member{}, ErrAddrTaken
	}
	n := uint64(len(m.sorted))
	if n > m.mask {
		return Member{}, ErrFull
	}
	// The space has mask+1 IDs; with all 64 bits and no members that wraps to 0.
	id := random(m.mask - n + 1)
	for _, taken := range m.sorted {
		if taken.ID > id {
			break
		}
		id++
	}
	added := Member{Peer: Peer{ID: id, Incarnation: inc, Addr: addr}, Traffic: traffic}
	return added, m.Claim(added)
}

// Claim admits a member under its own ID.
func (m *Members) Claim(member Member) error {
	if _, taken := m.byAddr[member.Addr]; taken {
		return ErrAddrTaken
	}
	if member.ID > m.mask {
		return ErrOutside
	}
	i, taken := m.find(member.ID)
	if taken {
		return ErrIDTaken
	}
	m.sorted = slices.Insert(m.sorted, i, member)
	m.byAddr[member.Addr] = member.ID
	return nil
}

// Remove removes a member and says whether it was there.
func (m *Members) Remove(id uint64) bool {
	i, ok := m.find(id)
	if !ok {
		return false
	}
	m.releaseAddr(m.sorted[i])
	m.sorted = slices.Delete(m.sorted, i, i+1)
	return true
}

func (m *Members) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(m.sorted, id, func(a Member, id uint64) int {
		return cmp.Compare(a.ID, id)
	})
}
