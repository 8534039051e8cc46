package stream

import "github.com/x/ringdht/internal/wire"

// bundling puts short messages together in one frame, a bundle (see package wire), while that frame
// has not left. Where messages leave as fast as they come, each has a frame of its own; where they
// wait, few headers do for many. So there is no timer, and no message waits for another.
type bundling struct {
	most     uint16 // bytes of a bundle's body; 0: none are made
	size     uint16 // of the latest frame while messages may join it; 0: none may
	messages uint16 // in it
	port     uint8
}

// begin lets messages join a frame that has one, with a body of n bytes.
func (b *bundling) begin(port uint8, n int) {
	b.size = 0
	if b.most > 0 && n <= wire.MaxBundled {
		b.size, b.messages, b.port = uint16(wire.HeaderSize+n), 1, port
	}
}

// end lets no more messages join the latest frame.
func (b *bundling) end() { b.size = 0 }

// write puts the next message into the store. It returns by how many bytes that has grown.
func (s *Sender) write(port uint8, body []byte) (n int) {
	if n = s.join(port, body); n == 0 {
		n = wire.HeaderSize + len(body)
		f := s.store.ReserveMessage(n)
		wire.Header{Type: wire.Data, Port: port, Dst: s.peer, Src: s.self, Seq: s.nxt}.Put(f, len(body))
		copy(f[wire.HeaderSize:], body)
		s.begin(port, len(body))
	}
	s.nxt++
	return n
}

// join puts a message into the latest frame. It returns by how many bytes that has grown, or 0 if
// the message needs a frame of its own.
func (s *Sender) join(port uint8, body []byte) (n int) {
	b := &s.bundling
	if b.size == 0 || port != b.port || len(body) > wire.MaxBundled {
		return 0
	}
	n = wire.Bundling(int(b.messages), len(body))
	if int(b.size)+n > wire.HeaderSize+int(b.most) {
		return 0
	}
	f := s.store.Extend(int(b.size), n)
	if f == nil {
		return 0
	}
	wire.Bundle(f, int(b.messages), body)
	b.size += uint16(n)
	b.messages++
	return n
}

// forget frees the messages below a number. Those of a bundle are freed together.
func (s *Sender) forget(below uint64) {
	s.bundling.end() // a sink may acknowledge what has not left
	s.base += uint64(s.store.DiscardMessages(int(below - s.base)))
	s.una = below
}
