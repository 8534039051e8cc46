package peers

// Traffic is what went over connections, those that have ended included.
type Traffic struct {
	BytesIn, Reads, BytesOut, Writes int64

	Casts   int64 // that links were given
	Queued  int64 // bytes that links hold now
	Shed    int64 // connections that were ended at a bound, see incoming.go
	Unknown int64 // frames about a connection, of types for extensions
}

// Traffic returns a snapshot.
func (s *Set) Traffic() Traffic {
	s.mu.RLock()
	defer s.mu.RUnlock()
	// A connection that ends adds its own numbers to ended with the lock held. Read without it
	// they could go back once, which a monitor takes for a restart.
	t := s.ended
	for c := range s.conns {
		t.add(c)
	}
	if s.loop != nil {
		t.addLink(s.loop)
	}
	t.Shed, t.Unknown = s.shed.Load(), s.unknown.Load()
	return t
}

// add needs mu.
func (t *Traffic) add(c *Conn) {
	if c.in != nil {
		bytes, reads := c.in.Stats()
		t.BytesIn += bytes
		t.Reads += reads
	}
	if c.out != nil {
		t.addLink(c.out)
	}
}

func (t *Traffic) addLink(l *Link) {
	bytes, writes := l.Stats()
	t.BytesOut += bytes
	t.Writes += writes
	t.Casts += l.Frames()
	t.Queued += int64(l.Queued())
}
