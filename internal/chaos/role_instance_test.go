//go:build linux

package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// The messages of the service: a kind, the process of the client or of the instance, and the
// number of the request.
const (
	kindServing = iota + 1 // from an instance to all: it takes requests; the number is its incarnation
	kindRequest            // from a client to an instance
	kindReply              // back, with the instance's process
)

const serviceBody = 1 + 8 + 8

func putService(kind byte, process, number uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{kind}, process), number)
}

func parseService(body []byte) (kind byte, process, number uint64, err error) {
	if len(body) != serviceBody {
		return 0, 0, 0, fmt.Errorf("%w: %d bytes", errBody, len(body))
	}
	return body[0], binary.BigEndian.Uint64(body[1:]), binary.BigEndian.Uint64(body[9:]), nil
}

// instance is a process of a service that is restarted in good order.
type instance struct {
	terms  terms
	say    func(event)
	ledger *ledger
	node   *ringdht.Node
	work   *ringdht.Service // of the node
}

func runInstance(t terms) {
	talk := &eventWriter{out: os.Stdout}
	s := &instance{terms: t, say: talk.say}
	end := terminated()
	if err := s.join(); err != nil {
		s.fail("joining", err)
	}
	go s.announce()
	go readCommands(os.Stdin, func(command) {})
	<-end
	s.leave()
}

func (s *instance) fail(what string, err error) {
	s.say(event{What: "failed", Error: fmt.Sprintf("%s: %v", what, err)})
	os.Exit(1)
}

func (s *instance) join() (err error) {
	if s.ledger, err = createLedger(s.terms.Book); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.node, s.work = newWork(s.terms, s.handle, s.undelivered)
	if err := s.node.Join(ctx, s.terms.Registry); err != nil {
		return err
	}
	s.say(event{What: "joined", Addr: s.node.Peer().Addr, ID: uint64(s.node.ID()), Incarnation: s.node.Incarnation()})
	err = s.node.Ready(ctx)
	s.say(event{What: "ready", Error: text(err)})
	return err
}

// newWork makes the node of a client or an instance, and its service. The registry may be away.
func newWork(t terms, h ringdht.Handler, undelivered func(status.Undelivered)) (*ringdht.Node, *ringdht.Service) {
	opts := []ringdht.NodeOption{ringdht.WithListen(t.Listen), ringdht.WithLogger(logger()), ringdht.WithRetry()}
	if t.AskID {
		opts = append(opts, ringdht.WithID(ringdht.ID(t.ID)))
	}
	n := ringdht.NewNode(opts...)
	s := n.Service("work")
	s.Handle(h)
	s.OnUndelivered(undelivered)
	return n, s
}

// announce tells each member that this instance takes requests. It also reports if the node
// loses its incarnation.
func (s *instance) announce() {
	ctx := context.Background()
	for e := range s.node.Watch(ctx) {
		switch {
		case e.Self:
			lives(s.say, e)
		case !e.Change.Over():
			go s.work.Send(ctx, e.ID, putService(kindServing, s.terms.Process, s.node.Incarnation()))
		}
	}
}

// lives reports that this node was declared dead, or joined again.
func lives(say func(event), e status.MemberEvent) {
	switch e.Change {
	case status.MemberDied:
		say(event{What: "wrong", Error: "it was declared dead"})
	case status.MemberJoined:
		say(event{What: "rejoined", ID: uint64(e.ID), Incarnation: e.Incarnation})
	}
}

// handle answers a request.
func (s *instance) handle(ctx context.Context, m ringdht.Message) {
	kind, client, number, err := parseService(m.Body)
	if err != nil {
		s.say(event{What: "wrong", Error: err.Error()})
		return
	}
	if kind != kindRequest {
		return
	}
	err = errors.Join(
		s.ledger.enter(entry{client, number}),
		s.work.Send(ctx, m.Source, putService(kindReply, s.terms.Process, number)),
	)
	if err != nil {
		s.say(event{What: "wrong", Error: fmt.Sprintf("request %d from %d has no answer: %v", number, m.Source, err)})
	}
}

// undelivered complains about answers, since no client ends. An announcement may meet a member
// that leaves.
func (s *instance) undelivered(u status.Undelivered) {
	for _, body := range u.Bodies {
		if kind, _, number, _ := parseService(body); kind == kindReply {
			s.say(event{What: "wrong", Error: fmt.Sprintf("the answer to request %d from %d was not delivered: %v", number, u.Sink, u.Err)})
		}
	}
}

// leave ends the process with status 0, if the ring and the clients know all that there is to
// know. A registry that is away finds out by itself.
func (s *instance) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := s.node.Leave(ctx)
	if _, undelivered := errors.AsType[*status.UndeliveredError](err); undelivered || err != nil && !errors.Is(err, ringdht.ErrRegistryLost) {
		s.fail("leaving", err)
	}
	os.Exit(0)
}
