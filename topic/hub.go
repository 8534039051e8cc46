package topic

import (
	"context"
	"errors"

	"github.com/x/ringdht"
	"github.com/x/ringdht/topic/internal/broadcast"
)

// hub is the part of a Topic that does not know the type of its values. It follows.
type hub struct {
	n       *ringdht.Node
	service *ringdht.Service
	codec   ringdht.Codec
	config
}

func newHub(n *ringdht.Node, service string, opts []Option) *hub {
	h := &hub{n: n, service: n.Service(service), codec: n.Codec(), config: config{buffer: 256}}
	for _, o := range opts {
		o.apply(&h.config)
	}
	return h
}

func (h *hub) publish(context.Context, string, any) error { return errors.ErrUnsupported }

func (h *hub) subscribe(context.Context, string) (*subscription, error) {
	return nil, errors.ErrUnsupported
}

type subscription struct {
	hub     *hub
	subject string
}

// delivery is a message in a subscription's buffer.
type delivery struct {
	from   broadcast.Member
	value  []byte
	missed uint64
}

func (s *subscription) next(context.Context) (delivery, bool) { return delivery{}, false }
func (s *subscription) undo(delivery)                         {}
func (s *subscription) close()                                {}
