package ring

// Move gives a member another address. A member that held it before holds none from now on,
// though it is still listed with it: an address is held by the member that was found there
// last.
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

// Yield leaves an address to the member that claims it next.
func (m *Members) Yield(addr string) { delete(m.byAddr, addr) }

// yield takes a member's address from it, if it holds it.
func (m *Members) releaseAddr(member Member) {
	if m.byAddr[member.Addr] == member.ID {
		delete(m.byAddr, member.Addr)
	}
}

// Naming lists the positions of the members whose table or successors name a member, as of
// the last Update, in ascending order, and says at which entries of the table, ascending,
// and whether the successors do.
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
