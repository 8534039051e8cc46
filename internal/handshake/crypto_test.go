package handshake

import (
	"net"
	"testing"
	"testing/synctest"
)

// A connection that has ended, as one that had to make room, waits for no place to compute: else those
// that end pile up behind the others of a flood.
func TestEndedConnectionsDoNotWaitToCompute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, do := range map[string]func(net.Conn) (int, error){
			"Read":  func(c net.Conn) (int, error) { return c.Read(make([]byte, 1)) },
			"Write": func(c net.Conn) (int, error) { return c.Write(make([]byte, 1)) },
		} {
			near, far := net.Pipe()
			near.Close()
			c := &watched{Conn: far, crypto: make(chan struct{}, 1), holds: true}
			c.crypto <- struct{}{} // its own place
			over := make(chan error, 1)
			c.pause()
			c.crypto <- struct{}{} // another connection's
			go func() {
				_, err := do(c)
				over <- err
			}()
			synctest.Wait()
			select {
			case err := <-over:
				if err == nil || c.holds {
					t.Errorf("%s: %v, it has a place: %t", name, err, c.holds)
				}
			default:
				t.Errorf("%s waits", name)
				<-c.crypto
			}
			far.Close()
		}
	})
}
