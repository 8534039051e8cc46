package ring

// Move gives a member another address. A member that held the address before is still
// listed with it but holds none: an address is held by the member that was found there last.
func (m *Members) Move(id uint64, addr string) bool {
	i, ok := m.find(id)
	if !ok {
		return false
	}
	m.releaseAddr(m.sorted[i])
	m.sorted[i].Addr = addr
	m.byAddr[addr] = id
	return true
}

// Yield frees an address for the member that claims it next.
func (m *Members) Yield(addr string) { delete(m.byAddr, addr) }

// releaseAddr frees a member's address if the member holds it.
func (m *Members) releaseAddr(member Member) {
	if m.byAddr[member.Addr] == member.ID {
		delete(m.byAddr, member.Addr)
	}
}

// Naming calls f for each member whose table or successors name a member, as of the last
// Update: with its position, with the entries that name it, and whether its successors do.
// Positions and entries ascend.
func (p *Plans) Naming(id uint64, f func(at int, entries []int, successor bool)) {
	v := &p.views
	it, ok := v.find(id)
	if !ok {
		return
	}
	n := len(v.refs)
	var entries []int
	for at := range n {
		if !v.told[at] || at == it {
			continue
		}
		entries = entries[:0]
		for e, to := range v.of(at) {
			if int(to) == it {
				entries = append(entries, e)
			}
		}
		successor := ahead(n, at, it) <= min(Successors, n-1)
		if len(entries) > 0 || successor {
			f(at, entries, successor)
		}
	}
}
