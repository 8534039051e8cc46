package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

var membershipChecks = []check{
	{"R40", true, "a newcomer's Register has an address, a token, and no life", func(w *world) error {
		j, err := w.join()
		if err == nil && (j.reg.Addr == "" || j.reg.Token == 0 || j.reg.Incarnation != 0 || j.reg.Epoch != 0 || j.reg.Ready || j.reg.Identity != "") {
			err = fmt.Errorf("it is %+v", j.reg)
		}
		return err
	}},
	{"R41", true, "Beats come every third of a lease, the first with a status", func(w *world) error {
		j, err := w.join()
		if err != nil {
			return err
		}
		for deadline := time.Now().Add(max(patience, 2*lease)); !j.m.beatsWithin(4, 2*lease); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				return errors.New("four Beats do not come within two leases")
			}
		}
		return nil
	}},
	{"R42", true, "Ping is answered with a Beat at once", func(w *world) error {
		j, err := w.join()
		if err != nil {
			return err
		}
		for deadline := time.Now().Add(max(patience, lease)); !j.m.beatsWithin(10, lease); {
			if err := j.m.barrier(); err != nil {
				return err
			}
			if time.Now().After(deadline) {
				return errors.New("ten answers do not come within a lease")
			}
		}
		return nil
	}},
	{"R30", true, "unknown fields are ignored, and missing ones are 0", func(w *world) error {
		j, err := w.join()
		if err != nil {
			return err
		}
		a := w.peer(2000)
		err = j.m.send(control.TypeManifest, map[string]any{
			"identity": identity, "epoch": 3, "new": []any{1, "two", map[string]any{"three": nil}}, "members": 2,
			"entries": []ring.Peer{a.table()}, "successors": []ring.Peer{a.table()},
		})
		if err != nil {
			return err
		}
		l, err := next[control.Linked](j.m, control.TypeLinked)
		if err == nil && (l.Epoch != 3 || l.Error != "") {
			err = fmt.Errorf("the Linked is %+v", l)
		}
		return errors.Join(err, a.isUp())
	}},
	{"R30", true, "a body that does not decode ends the connection, and the node comes back with its life", func(w *world) error {
		return w.back(func(j *joined) { j.m.send(control.TypeManifest, "no struct") })
	}},
	{"R31", true, "a message that only nodes send ends the connection, and the node comes back", func(w *world) error {
		return w.back(func(j *joined) { j.m.send(control.TypeTrouble, control.Trouble{}) })
	}},
	{"R34", true, "a table out of order ends the connection, and the node comes back", func(w *world) error {
		return w.back(func(j *joined) {
			a, b := w.peer(3000), w.peer(4000)
			j.m.send(control.TypeManifest, control.Manifest{Identity: identity, Epoch: 100, Entries: []ring.Peer{b.table(), a.table()}, Successors: []ring.Peer{a.table()}})
		})
	}},
	{"R43", true, "after the connection ends the node registers with its ID, life, token, ring and epoch, and keeps its links", func(w *world) error {
		return w.back(func(j *joined) { j.m.conn.Close() })
	}},
	{"R44", true, "after Refused 8 the node ends its links, and registers as a newcomer", func(w *world) error {
		j, a, _, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		j.m.send(control.TypeRefused, control.Refused{Code: control.CodeEvicted, Reason: "a check"})
		if err := errors.Join(j.m.ended(), a.isDown()); err != nil {
			return err
		}
		m, err := w.connection()
		if err != nil {
			return err
		}
		req, err := next[control.Register](m, control.TypeRegister)
		if err == nil && (req.Incarnation != 0 || req.Ready || req.Identity != "") {
			err = fmt.Errorf("the Register is %+v", req)
		}
		return err
	}},
	{"R48", false, "at SIGINT the node sends Deregister with its ID and address, and ends when all has drained", func(w *world) error {
		j, a, b, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		if w.cmd.Process.Signal(os.Interrupt) != nil {
			return errSkipped
		}
		d, err := next[control.Deregister](j.m, control.TypeDeregister)
		if err != nil {
			return err
		}
		if d.ID != self.ID || d.Addr != j.reg.Addr {
			return fmt.Errorf("the Deregister is %+v", d)
		}
		if err := j.m.send(control.TypeDeregistered, control.Deregistered{ID: d.ID}); err != nil {
			return err
		}
		return errors.Join(j.m.ended(), a.isDown(), b.isDown())
	}},
	{"R49", true, "Notes about services with keys that it has not named, and that have no body, leave it connected", func(w *world) error {
		j, a, b, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		for _, n := range []control.Note{{Service: "not its own", Body: "AAAA"}, {}, {Service: "x", Body: "no base64!"}} {
			j.m.send(control.TypeNote, n)
		}
		j.m.send(control.TypePing, control.Ping{})
		if _, err := next[control.Beat](j.m, control.TypeBeat); err != nil {
			return err
		}
		return errors.Join(a.isUp(), b.isUp())
	}},
}

// back checks that the node comes back after its connection to the registry has ended.
func (w *world) back(end func(*joined)) error {
	j, a, _, _, err := w.inRing(true)
	if err != nil {
		return err
	}
	end(j)
	m, err := w.connection()
	if err != nil {
		return err
	}
	req, err := next[control.Register](m, control.TypeRegister)
	if err != nil {
		return err
	}
	if req.ID != self.ID || req.Incarnation != self.Incarnation || req.Token != j.reg.Token || req.Identity != identity || req.Epoch != j.epoch || !req.Ready || req.Addr != j.reg.Addr {
		return fmt.Errorf("the Register is %+v", req)
	}
	if err := a.isUp(); err != nil {
		return err
	}
	j.m = m
	back := terms()
	back.Identity, back.Epoch = identity, j.epoch
	if err := m.send(control.TypeRegistered, back); err != nil {
		return err
	}
	if err := j.tell(w.peers[:2]...); err != nil {
		return err
	}
	_, err = next[control.Linked](m, control.TypeLinked)
	return err
}

var tableChecks = []check{
	{"R50", true, "the node opens links to the entries of its table, and gives those an End that are out of it", func(w *world) error {
		j, a, b, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		if err := errors.Join(a.isUp(), b.isUp()); err != nil {
			return err
		}
		j.epoch++
		j.m.send(control.TypeUpdate, control.Update{Epoch: j.epoch, Members: 3, Entries: 1})
		if _, err := next[control.Linked](j.m, control.TypeLinked); err != nil {
			return err
		}
		select {
		case <-b.ends:
		case <-time.After(patience):
			return fmt.Errorf("node %d, which is in no table any more, gets no End", b.ID)
		}
		return errors.Join(b.isDown(), a.isUp())
	}},
	{"R51", true, "Linked comes once all links are up or have failed, and names the failure", func(w *world) error {
		return w.troubled(func(j *joined, silent *peer, before []message, l control.Linked) error {
			if l.Epoch != j.epoch || l.Error == "" {
				return fmt.Errorf("the Linked is %+v", l)
			}
			return w.peers[0].isUp()
		})
	}},
	{"R52", true, "Trouble about a peer that cannot be dialled comes before Linked", func(w *world) error {
		return w.troubled(hasTrouble)
	}},
	{"R53", true, "Trouble comes again with the next epoch, before its Linked", func(w *world) error {
		return w.troubled(func(j *joined, gone *peer, _ []message, _ control.Linked) error {
			if err := j.tell(w.peers...); err != nil {
				return err
			}
			before, l, err := j.untilLinked()
			if err != nil {
				return err
			}
			return hasTrouble(j, gone, before, l)
		})
	}},
	{"R54", true, "links with a life that is gone end, and a new one is refused with status 4", func(w *world) error {
		j, a, b, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		incoming, err := j.raw(a)
		if err != nil {
			return err
		}
		if err := a.isUp(); err != nil {
			return err
		}
		j.epoch++
		entry := b.table()
		j.m.send(control.TypeUpdate, control.Update{
			Epoch: j.epoch, Members: 2, Entries: 1, Slots: []control.Slot{{ID: entry.ID, Incarnation: entry.Incarnation, Addr: entry.Addr}},
			NewSuccessors: true, Successors: []ring.Peer{entry}, Gone: []ring.Ref{a.Ref},
		})
		if _, err := next[control.Linked](j.m, control.TypeLinked); err != nil {
			return err
		}
		if err := a.isDown(); err != nil {
			return err
		}
		if _, err := closed(incoming); err != nil {
			return err
		}
		conn, answer, err := hello(j.reg.Addr, wire.Hello{
			Role: wire.RoleLink, From: a.ID, FromIncarnation: a.Incarnation, To: self.ID, ToIncarnation: self.Incarnation,
			Codec: j.m.hello.Codec, RingName: j.m.hello.RingName,
		}, nil)
		if err != nil {
			return err
		}
		conn.Close()
		if answer.Status != wire.WrongIdentity {
			return fmt.Errorf("status %d", answer.Status)
		}
		return nil
	}},
	{"R56", true, "a ring of one has an empty table: Linked comes", func(w *world) error {
		j, err := w.join()
		if err != nil {
			return err
		}
		if err := j.tell(); err != nil {
			return err
		}
		_, err = next[control.Linked](j.m, control.TypeLinked)
		return err
	}},
	{"R57", true, "an Announce with a member that is about to leave is answered with Listed, and its link stays", func(w *world) error {
		j, a, b, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		if !j.reg.Confirms {
			return fmt.Errorf("%w: the node confirms no lists", errSkipped)
		}
		j.epoch++
		m := control.Manifest{Identity: identity, Epoch: j.epoch, Members: 3, ListEpoch: 7, Entries: []ring.Peer{a.table(), b.table()}, Others: []uint64{a.ID, b.ID}, Incs: []uint64{a.Incarnation, b.Incarnation}}
		m.Successors = m.Entries
		j.m.send(control.TypeManifest, m)
		for epoch := uint64(8); epoch < 10; epoch++ { // the second names it again
			j.m.send(control.TypeAnnounce, control.Announce{Epoch: j.epoch, Members: 3, ListEpoch: epoch, Leaving: []ring.Ref{a.Ref}})
			l, err := next[control.Listed](j.m, control.TypeListed)
			if err == nil && l.ListEpoch != epoch {
				err = fmt.Errorf("the Listed is %+v, want %d", l, epoch)
			}
			if err != nil {
				return err
			}
		}
		return errors.Join(a.isUp(), b.isUp())
	}},
}

// troubled gives the node a table with a peer whose port is closed.
func (w *world) troubled(then func(j *joined, gone *peer, before []message, l control.Linked) error) error {
	j, err := w.join()
	if err != nil {
		return err
	}
	w.peer(2000)
	gone := w.peer(40000)
	gone.l.Close()
	if err := j.tell(w.peers...); err != nil {
		return err
	}
	before, l, err := j.untilLinked()
	if err != nil {
		return err
	}
	return then(j, gone, before, l)
}

// untilLinked returns the messages up to the Linked of the present epoch.
func (j *joined) untilLinked() (before []message, l control.Linked, err error) {
	timeout := time.After(patience)
	for {
		select {
		case got, ok := <-j.m.got:
			if !ok {
				return nil, l, errors.New("the node has closed the connection")
			}
			if got.t != control.TypeLinked {
				before = append(before, got)
				continue
			}
			if err := j.m.codec.Decode(got.body, &l); err != nil || l.Epoch == j.epoch {
				return before, l, err
			}
			before = nil
		case <-timeout:
			return nil, l, errors.New("the Linked has not come")
		}
	}
}

func hasTrouble(j *joined, gone *peer, before []message, _ control.Linked) error {
	for _, got := range before {
		var t control.Trouble
		if got.t == control.TypeTrouble && j.m.codec.Decode(got.body, &t) == nil && t.ID == gone.ID && t.Incarnation == gone.Incarnation && t.Error != "" {
			return nil
		}
	}
	return fmt.Errorf("before Linked there is no Trouble about node %d", gone.ID)
}
