package plane

// The receive buffer is divided so that no service waits for another one. A node may handle requests
// whose handlers wait until an answer comes on another service. If all of the buffer were one part,
// requests could fill it, and the answer would be dropped each time it is sent: a deadlock.
//
// Half of the buffer is shared. The other half is divided among the services that are handled, and
// what a service has reserved no other takes. A node with one such service has one part.
//
// So no service holds up another one, even if its handlers wait for that one:
//
//   - A reader never waits for a handler (package workers), so frames of all services come in.
//   - A message in order finds room in the part of its service, or what is there is with handlers of
//     this service, or waits for them. Held messages give way at once (stream.Receiver) or at a sweep,
//     and casts take at most half of the part.
//   - Each service has its own handlers, at most Limits.Handlers.
//   - At the source each service has its own stream. With nothing pending it sends one message,
//     however full the send buffer and the windows are.
//
// Windows fit: the sum of those of all streams is the buffer, and the sum of those of one service is
// its reserved part and its streams' share of the rest. (But none is smaller than minWindow.)

// divideReceiveBuffer divides the receive buffer. A reserved part takes a cast and a message at least,
// of any length. So if a node handles many services, and messages may be long, the parts together are
// larger than the buffer.
func (p *Plane) divideReceiveBuffer() {
	handled := 0
	for i := range p.services {
		if p.services[i].Handled {
			handled++
		}
	}
	p.reserved = p.ReceiveBuffer
	casts := p.ReceiveBuffer / 4
	if handled > 1 {
		longest := MaxFrame(p.MaxPayload)
		p.shared = p.ReceiveBuffer / 2
		p.reserved = max(p.shared/handled, 2*longest)
		casts = max(p.reserved/4, longest)
	}
	for i := range p.services {
		p.services[i].casts.limit = casts
	}
}

// room is how many bytes a service can take now.
func (p *Plane) room(s *service) int {
	own := p.reserved - int(s.inbox.Load())
	if p.shared == 0 {
		return own
	}
	return max(0, own) + max(0, p.shared-int(p.overflow.Load()))
}

// charge notes that a service has taken bytes, or given them back if n is negative.
func (p *Plane) charge(s *service, n int) {
	after := int(s.inbox.Add(int64(n)))
	if p.shared == 0 {
		return
	}
	beyond := func(used int) int { return max(0, used-p.reserved) }
	if more := beyond(after) - beyond(after-n); more != 0 {
		p.overflow.Add(int64(more))
	}
}

// inboxBytes is the use of the whole receive buffer.
func (p *Plane) inboxBytes() (sum int64) {
	for i := range p.services {
		sum += p.services[i].inbox.Load()
	}
	return sum
}

// window is what the sink can grant now to a source that has a share of the receive buffer.
func (p *Plane) window(s *service) int { return p.windowAmong(s, 0) }

// windowAmong is window if so many more streams of the service shared the buffer.
func (p *Plane) windowAmong(s *service, more int64) int {
	n := p.reserved / int(max(1, s.sharing.Load()+more))
	if p.shared > 0 {
		n += p.shared / int(max(1, p.sharing.Load()+more))
	}
	return min(max(n, minWindow), maxWindow)
}

// room is how many bytes a service can still take.
func (l *inLink) room(s *service) int {
	if s != l.service {
		l.chargeAccepted()
		l.service = s
	}
	return l.p.room(s) - l.uncharged
}

// accept notes that a service has taken bytes, or given them back if n is negative. The receive buffer
// counts them once a batch, or when those of another service follow.
func (l *inLink) accept(s *service, n int) {
	if s != l.service {
		l.chargeAccepted()
		l.service = s
	}
	l.uncharged += n
	l.acceptedBytes += n
}

func (l *inLink) chargeAccepted() {
	if l.uncharged != 0 {
		l.p.charge(l.service, l.uncharged)
		l.uncharged = 0
	}
}
