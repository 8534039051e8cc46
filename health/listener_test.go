package health

import (
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// one is a listener with one connection.
type one struct {
	net.Listener
	conn net.Conn
}

func (l one) Accept() (net.Conn, error) { return l.conn, nil }

func TestWriteEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c, err := Listener(one{conn: near}).Accept()
		if err != nil {
			t.Fatal(err)
		}
		go far.Read(make([]byte, 1))
		if _, err := c.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * writeLimit) // between writes nothing is closed
		start := time.Now()
		go far.Read(make([]byte, 1))
		if _, err := c.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte{1}); err == nil || time.Since(start) != writeLimit {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// talking is a connection of TLS that is being written: its Close would wait.
type talking struct {
	net.Conn
	t *testing.T
}

func (c talking) NetConn() net.Conn { return c.Conn }
func (c talking) Close() error      { c.t.Error("Close waits for what is written"); return c.Conn.Close() }

// A connection that loses its place is closed below TLS.
func TestLimitClosesBelowTLS(t *testing.T) {
	server := new(http.Server)
	Limit(server, 1)
	near, far := net.Pipe()
	server.ConnState(talking{near, t}, http.StateNew)
	other, _ := net.Pipe()
	server.ConnState(other, http.StateNew)
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}
