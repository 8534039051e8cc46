package secure

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"

	"github.com/x/ringdht/memnet"
)

// dribble reads a few bytes at a time, and has a deadline pass between any two reads.
type dribble struct {
	net.Conn
	most int
	r    *rand.Rand
	late bool
}

func (d *dribble) Read(b []byte) (int, error) {
	if d.late = !d.late; d.late {
		return 0, os.ErrDeadlineExceeded
	}
	return d.Conn.Read(b[:min(len(b), 1+d.r.IntN(d.most))])
}

// Pieces of any sizes arrive whole and in order, wherever reads end and deadlines pass: within a
// record, within its head, or between two.
func TestPiecesArriveWhole(t *testing.T) {
	for _, most := range []int{1, 3, 700, 40000, 200000} {
		near, far := memnet.Pipe()
		side := Side{
			Certificate: func(context.Context, string) (*tls.Certificate, error) { return Certificate(keyFor("node"), nil, nil) },
			Check:       func(*tls.ConnectionState) error { return nil },
		}
		client, server := NewClient(near, side.Client(Protocol)), NewServer(far, side.Server(Protocol))
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, uint64(most)))
		var all []byte
		var writes [][][]byte
		for range 30 {
			var pieces [][]byte
			for range 1 + r.IntN(8) {
				b := make([]byte, 1+r.IntN(min(most*20, 50000)))
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				pieces, all = append(pieces, b), append(all, b...)
			}
			writes = append(writes, pieces)
		}
		go func() {
			for _, pieces := range writes {
				if err := client.WriteBuffers(pieces); err != nil {
					t.Error(err)
				}
			}
			client.Close()
		}()
		server.Below(&dribble{Conn: far, most: most, r: rand.New(rand.NewPCG(2, uint64(most)))})
		var got []byte
		b := make([]byte, 64<<10)
		for {
			n, err := server.Read(b)
			got = append(got, b[:n]...)
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
			if err != io.EOF {
				t.Errorf("at most %d bytes a read: %v", most, err)
			}
			break
		}
		if !bytes.Equal(got, all) {
			t.Errorf("at most %d bytes a read: %d bytes arrived of %d, or they have changed", most, len(got), len(all))
		}
		server.Close()
	}
}
