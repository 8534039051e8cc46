package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// lifeChecks are those of what begins and ends an incarnation, and of what it remembers.
var lifeChecks = append([]check{
	{"R32", true, "a Manifest before Registered ends the connection", func(w *world) error {
		m, err := w.asking()
		if err != nil {
			return err
		}
		m.send(control.TypeManifest, control.Manifest{Identity: identity, Epoch: 1})
		return m.ended()
	}},
	{"R45", true, "a life that has ended is not used again: not from outside, and not by the node itself", (*world).secondLife},
	{"R46", true, "a node that did not run for longer than a lease acknowledges nothing until it has asked", (*world).paused},
	{"R47", true, "the ring of the first Manifest stands in a later Register, also behind a Manifest of another", func(w *world) error {
		j, _, _, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		j.m.send(control.TypeManifest, control.Manifest{Identity: "ff" + identity[2:], Epoch: j.epoch + 1, Incarnation: self.Incarnation + 1000, Members: 1})
		j.m.conn.Close()
		m, err := w.connection()
		if err != nil {
			return err
		}
		req, err := next[control.Register](m, control.TypeRegister)
		if err == nil && (req.Identity != identity || req.Incarnation != self.Incarnation) {
			err = fmt.Errorf("the Register is %+v", req)
		}
		return err
	}},
}, termsChecks()...)

// termsChecks are one check for each term out of its limits.
func termsChecks() (all []check) {
	for _, c := range []struct {
		what   string
		change func(*control.Registered)
	}{
		{"bits 65", func(r *control.Registered) { r.Bits = 65 }},
		{"a lease of 0", func(r *control.Registered) { r.Lease = 0 }},
		{"hop_limit 65536", func(r *control.Registered) { r.HopLimit = 1 << 16 }},
		{"an ID not below 2^bits", func(r *control.Registered) { r.ID = 1 << bits }},
	} {
		all = append(all, check{"R33", true, "terms with " + c.what + " end the connection", func(w *world) error {
			m, err := w.asking()
			if err != nil {
				return err
			}
			r := terms()
			c.change(&r)
			m.send(control.TypeRegistered, r)
			return m.ended()
		}})
	}
	return all
}

// asking waits for the Register of a newcomer.
func (w *world) asking() (*member, error) {
	m, err := w.connection()
	if err != nil {
		return nil, err
	}
	_, err = next[control.Register](m, control.TypeRegister)
	return m, err
}

// secondLife ends the node's incarnation, gives it another, and looks for the first one.
func (w *world) secondLife() error {
	j, a, _, _, err := w.inRing(true)
	if err != nil {
		return err
	}
	j.m.send(control.TypeRefused, control.Refused{Code: control.CodeEvicted, Reason: "a check"})
	if err := errors.Join(j.m.ended(), a.isDown()); err != nil {
		return err
	}
	if j.m, err = w.asking(); err != nil {
		return err
	}
	a.mu.Lock()
	a.from = nil
	a.mu.Unlock()
	second := ring.Ref{ID: self.ID, Incarnation: self.Incarnation + 9}
	r := terms()
	r.Incarnation = second.Incarnation
	if err := errors.Join(j.m.send(control.TypeRegistered, r), j.tell(a)); err != nil {
		return err
	}
	if _, _, err := j.untilLinked(); err != nil {
		return err
	}
	for ref, want := range map[ring.Ref]wire.Status{self: wire.WrongIdentity, second: wire.OK} {
		h := j.linkHello(a.Ref)
		h.ToIncarnation = ref.Incarnation
		conn, answer, err := hello(j.reg.Addr, h, nil)
		if err != nil {
			return err
		}
		conn.Close()
		if answer.Status != want {
			return fmt.Errorf("a link for %+v is answered with status %d, want %d", ref, answer.Status, want)
		}
	}
	j.m.conn.Close()
	m, err := w.connection()
	if err != nil {
		return err
	}
	req, err := next[control.Register](m, control.TypeRegister)
	if err == nil && req.Incarnation != second.Incarnation {
		err = fmt.Errorf("the Register is %+v, want the incarnation %d", req, second.Incarnation)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, inc := range a.from {
		if inc != second.Incarnation {
			err = errors.Join(err, fmt.Errorf("a hello to a peer names the incarnation %d, want %d", inc, second.Incarnation))
		}
	}
	return err
}

// paused stops the process for longer than a lease. A message waits for it when it goes on, and the
// registry does not answer at first.
func (w *world) paused() error {
	return w.streaming(func(s *source) error {
		s.data(0)
		if _, _, err := s.sync(1, 1); err != nil {
			return err
		}
		s.j.m.mute(true)
		if !suspend(w.cmd.Process) {
			return errSkipped
		}
		time.Sleep(lease * 5 / 4)
		for range len(s.a.in) { // what came before
			<-s.a.in
		}
		s.data(1)
		s.conn.Write(frame(wire.Sync, self.ID, s.a.ID, s.first+2, string(wire.AppendRound(nil, s.round+1))))
		s.conn.Write(bare(wire.Ping, 46)) // its Pong shows that the node has read the message
		resume(w.cmd.Process)
		m, err := s.j.asks()
		if err != nil {
			return err
		}
		late := time.After(patience)
		for wait := (<-chan time.Time)(nil); ; {
			select {
			case <-late:
				return errors.New("a Ping is not answered after a pause")
			case f := <-s.a.in:
				if f.Type() == wire.Pong {
					wait = time.After(w.watch)
				}
				if f.Type() == wire.Ack && f.Seq() != s.first+1 {
					return fmt.Errorf("before it has asked comes the Ack %x for all below message %d", f, int64(f.Seq()-s.first))
				}
				continue
			case <-wait:
			}
			break
		}
		if m == s.j.m {
			m.mute(false)
		} else if err := errors.Join(w.admit(m), s.j.tell(w.peers[:2]...)); err != nil {
			return err
		}
		// What the node has dropped meanwhile comes again.
		for deadline := time.Now().Add(patience); ; {
			s.data(1)
			s.round++
			s.conn.Write(frame(wire.Sync, self.ID, s.a.ID, s.first+2, string(wire.AppendRound(nil, s.round))))
			select {
			case f := <-s.a.in:
				if f.Type() == wire.Ack && f.Seq() == s.first+2 {
					return nil
				}
			case <-time.After(100 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				return errors.New("the registry has answered, and the message is not acknowledged")
			}
		}
	})
}

// mute ends the answers to Beats, or gives all that are due.
func (m *member) mute(on bool) {
	m.mu.Lock()
	due := m.unanswered
	m.muted, m.unanswered = on, 0
	m.mu.Unlock()
	for range due {
		m.send(control.TypeBeatAnswer, control.BeatAnswer{Every: 1})
	}
}

// asks waits until the node has sent a Beat that has no answer, or has registered over another
// connection, and returns the connection.
func (j *joined) asks() (*member, error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case m := <-j.members:
			if m.err != nil {
				return nil, m.err
			}
			_, err := next[control.Register](m, control.TypeRegister)
			return m, err
		case <-time.After(time.Millisecond):
		}
		j.m.mu.Lock()
		asked := j.m.unanswered > 0
		j.m.mu.Unlock()
		if asked {
			return j.m, nil
		}
	}
	return nil, errors.New("the node does not ask the registry after its pause")
}
