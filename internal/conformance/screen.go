package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// screen keeps the beginning of what a node prints.
type screen struct {
	mu   sync.Mutex
	text []byte
}

// maxScreen bounds what is kept.
const maxScreen = 1 << 20

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, b[:min(len(b), maxScreen-len(s.text))]...)
	return len(b), nil
}

// err reports a character that would command a terminal.
func (s *screen) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := bytes.IndexAny(s.text, "\x1b\x07"); i >= 0 {
		return fmt.Errorf("the node prints the raw text of a peer: %q", s.text[max(0, i-20):min(len(s.text), i+20)])
	}
	return nil
}

// quiet checks that nothing comes over a connection for a while.
func (c config) quiet(conn net.Conn) error {
	conn.SetReadDeadline(time.Now().Add(c.watch))
	defer conn.SetReadDeadline(time.Time{})
	n, err := conn.Read(make([]byte, 1))
	if nerr, ok := errors.AsType[net.Error](err); n == 0 && ok && nerr.Timeout() {
		return nil
	}
	return fmt.Errorf("behind the hello come %d bytes or more before the answer (%v)", n, err)
}
