package ringtest

import (
	"net"
	"slices"
	"sync"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/wire"
)

// Tamper makes a liar of a member: it changes or drops the control frames that the member sends to its
// registry, above TLS. Links to peers are not touched.
type Tamper struct {
	mu    sync.Mutex
	frame func(t wire.Type, body []byte) []byte
}

// Set sets what is done with a frame from now on: f returns the body to send instead, or nil for none.
// A nil f sends all as it is.
func (t *Tamper) Set(f func(t wire.Type, body []byte) []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frame = f
}

// DropFrames has the member send no frame of these types.
func (t *Tamper) DropFrames(types ...wire.Type) {
	t.Set(func(is wire.Type, body []byte) []byte {
		if slices.Contains(types, is) {
			return nil
		}
		return body
	})
}

// Rewrite returns the body of a message with a change.
func Rewrite[T any](body []byte, change func(*T)) []byte {
	var v T
	if err := (codec.Msgpack{}).Decode(body, &v); err != nil {
		panic(err)
	}
	change(&v)
	b, err := codec.Msgpack{}.Append([]byte{}, v)
	if err != nil {
		panic(err)
	}
	return b
}

// tampered is a connection to a registry.
type tampered struct {
	net.Conn
	by   *Tamper
	mu   sync.Mutex
	part []byte // of a frame that is not whole
}

func (c *tampered) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part = append(c.part, b...)
	c.by.mu.Lock()
	change := c.by.frame
	c.by.mu.Unlock()
	var out []byte
	for len(c.part) >= wire.PrefixSize && len(c.part) >= wire.Size(c.part) {
		var f wire.Frame
		f, c.part = wire.Next(c.part)
		body := []byte(f[wire.PrefixSize:])
		if change != nil {
			if body = change(f.Type(), body); body == nil {
				continue
			}
		}
		at := len(out)
		out = append(wire.AppendControl(out, f.Type()), body...)
		if err := wire.FinishControl(out, at); err != nil {
			return 0, err
		}
	}
	if len(out) > 0 {
		if _, err := c.Conn.Write(out); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// JoinLiar adds a node whose messages to the registry the returned value changes. Its other
// connections are as opts have them.
func (tr *Ring) JoinLiar(opts ...ringdht.NodeOption) (*Node, *Tamper) {
	tr.T.Helper()
	tamper := new(Tamper)
	inside := WithNodeConfig(func(c *node.Config) {
		others := c.Inside
		c.Inside = func(addr string, conn net.Conn) net.Conn {
			switch {
			case addr == tr.Addr:
				return &tampered{Conn: conn, by: tamper}
			case others != nil:
				return others(addr, conn)
			}
			return conn
		}
	})
	return tr.Join(nil, append(opts, inside)...), tamper
}
