package ringdht

import (
	"context"

	"github.com/x/ringdht"
)

// dozens is how many messages one call sends.
const dozens = 64

// batcher gathers messages for one sink.
type batcher struct {
	send  func(context.Context, ringdht.ID, [][]byte) (int, error)
	sinks []ringdht.ID

	sink     int
	gathered [][]byte
	buf      []byte
}

func (b *batcher) Send(sink int, payload []byte) error {
	if sink != b.sink || len(b.gathered) == dozens {
		if err := b.Push(); err != nil {
			return err
		}
	}
	b.sink = sink
	at := len(b.buf)
	b.buf = append(b.buf, payload...) // the old memory stays valid when it grows
	b.gathered = append(b.gathered, b.buf[at:])
	return nil
}

func (b *batcher) Push() error {
	_, err := b.send(context.Background(), b.sinks[b.sink], b.gathered)
	b.gathered, b.buf = b.gathered[:0], b.buf[:0]
	return err
}
